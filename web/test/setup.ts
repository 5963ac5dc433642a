// What a browser has and jsdom has not.
if (typeof window !== "undefined")
  window.matchMedia = ((query: string) =>
    Object.assign(new EventTarget(), { matches: false, media: query, onchange: null })) as unknown as typeof window.matchMedia;
