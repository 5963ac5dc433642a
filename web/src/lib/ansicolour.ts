// Colours that programs print, made readable on the page's light and dark ground.

import type { Colour, Look } from "./ansi";

export type Rgb = readonly [number, number, number];

const BASE: readonly Rgb[] = [
  [0, 0, 0], [178, 34, 34], [22, 128, 60], [148, 98, 0], [30, 86, 196], [150, 40, 150], [0, 124, 132], [204, 204, 204],
  [102, 102, 102], [222, 60, 60], [40, 180, 90], [224, 180, 40], [90, 140, 250], [214, 100, 214], [60, 190, 200], [255, 255, 255],
];
const LIGHT: Rgb = [255, 255, 255]; // --log-bg
const DARK: Rgb = [14, 19, 24];
const AA = 4.5;

/** Red, green and blue of a colour. */
export function rgbOf(colour: Colour): Rgb {
  if (typeof colour !== "number") return colour;
  const base = BASE[colour];
  if (base) return base;
  if (colour >= 232) {
    const grey = 8 + (colour - 232) * 10;
    return [grey, grey, grey];
  }
  const level = (step: number): number => (step === 0 ? 0 : 55 + step * 40);
  const cube = colour - 16;
  return [level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)];
}

function luminance([red, green, blue]: Rgb): number {
  const linear = (value: number): number => (value <= 10 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

/** Contrast of two colours, 1 to 21. */
export function contrast(one: Rgb, other: Rgb): number {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

/** `colour`, moved towards black or white until it can be read on `ground`. */
export function readable(colour: Rgb, ground: Rgb): Rgb {
  const target = contrast([255, 255, 255], ground) > contrast([0, 0, 0], ground) ? 255 : 0;
  for (let step = 0; step <= 20; step++) {
    const mixed = colour.map((value) => Math.round(value + ((target - value) * step) / 20)) as unknown as Rgb;
    if (contrast(mixed, ground) >= AA) return mixed;
  }
  return [target, target, target];
}

const css = (rgb: Rgb): string => `rgb(${rgb.join(" ")})`;

export interface Dress {
  class: string;
  style: Record<string, string> | undefined;
}

const dresses = new WeakMap<Look, Dress>();

/** Classes and properties for a look. The sixteen base colours are classes, whose colours are the style sheet's. */
export function dress(look: Look): Dress {
  const known = dresses.get(look);
  if (known) return known;
  const names = (["bold", "dim", "italic", "underline", "strike"] as const).filter((name) => look[name]).map((name) => `a-${name}`);
  let style: Dress["style"];
  const fg = look.inverse ? look.bg : look.fg;
  const bg = look.inverse ? look.fg : look.bg;
  if (bg !== undefined) {
    const ground = rgbOf(bg);
    style = { backgroundColor: css(ground), color: css(readable(fg === undefined ? ground : rgbOf(fg), ground)) };
  } else if (look.inverse) {
    names.push("a-inverse");
    if (fg !== undefined) style = { color: css(rgbOf(fg)) };
  } else if (typeof fg === "number" && fg < 16) names.push(`a-${fg}`);
  else if (fg !== undefined) {
    names.push("a-any");
    style = { "--on-light": css(readable(rgbOf(fg), LIGHT)), "--on-dark": css(readable(rgbOf(fg), DARK)) };
  }
  const made = { class: names.join(" "), style };
  dresses.set(look, made);
  return made;
}
