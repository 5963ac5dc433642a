// Icons, 16 by 16, drawn in the text's colour. They say nothing to screen readers: the words beside them do.

const paths = {
  run: "M4.5 2.8v10.4L13 8z",
  jobs: "M2.5 3.5h11M2.5 8h11M2.5 12.5h11",
  workers: "M2 3.5h12v7H2zM5.5 13.5h5M8 10.5v3",
  overview: "M2 13.5h12M4 11V7M8 11V3M12 11V5.5",
  terminals: "M2 3h12v10H2zM4.5 6l2 2-2 2M8.5 10.5h3",
  clock: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 4.8V8l2.2 1.6",
  spin: "M8 2a6 6 0 1 1-6 6",
  check: "M3 8.5l3.2 3.2L13 4.8",
  cross: "M4 4l8 8M12 4l-8 8",
  warning: "M8 2.2L14.4 13.4H1.6zM8 6.5v3.2M8 11.6v.1",
  info: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 7.4v3.8M8 4.9V5",
  copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.4 10.4l3.2 3.2",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8L13 13M3 13l1.2-1.2M11.8 4.2L13 3",
  moon: "M13 9.6A5.6 5.6 0 0 1 6.4 3a5.6 5.6 0 1 0 6.6 6.6z",
  auto: "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
  help: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM6.2 6.3a1.9 1.9 0 1 1 2.6 1.8c-.6.2-.8.6-.8 1.2M8 11.4v.1",
  down: "M8 3v9.5M4 8.8l4 4 4-4",
  up: "M8 13V3.5M4 7.2l4-4 4 4",
  right: "M6 3l5 5-5 5",
  fold: "M4 6l4 4 4-4",
  download: "M8 2v8.5M4.5 7.2L8 10.7l3.5-3.5M2.5 13.5h11",
  upload: "M8 13V4.5M4.5 7.8L8 4.3l3.5 3.5M2.5 2h11",
  stop: "M4 4h8v8H4z",
  again: "M13 8a5 5 0 1 1-1.5-3.5M13 2v3h-3",
  pause: "M5 3v10M11 3v10",
  moonzz: "M4 5h4L4 10h4M10 2.5h3l-3 4h3",
  folder: "M2 4h4l1.4 1.6H14V13H2z",
  file: "M4 2h5l3 3v9H4zM9 2v3h3",
  bell: "M4 11V7.2a4 4 0 0 1 8 0V11l1.2 1.4H2.8zM6.8 14h2.4",
  leave: "M6.5 2.5h-4v11h4M6 8h8M10.8 4.8L14 8l-3.2 3.2",
  plus: "M8 3v10M3 8h10",
  edit: "M3 13l.6-2.8L11 2.8l2.2 2.2-7.4 7.4z",
  command: "M5.5 5.5h5v5h-5zM5.5 5.5H4a1.5 1.5 0 1 1 1.5-1.5zM10.5 5.5V4A1.5 1.5 0 1 1 12 5.5zM10.5 10.5H12A1.5 1.5 0 1 1 10.5 12zM5.5 10.5V12A1.5 1.5 0 1 1 4 10.5z",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
