// What a browser has and jsdom has not.
globalThis.matchMedia = ((query: string) =>
  Object.assign(new EventTarget(), { matches: false, media: query, onchange: null })) as unknown as typeof window.matchMedia;
