// What a browser has and jsdom has not.
import { options } from "preact";

if (typeof window !== "undefined") {
  window.matchMedia = ((query: string) =>
    Object.assign(new EventTarget(), { matches: false, media: query, onchange: null })) as unknown as typeof window.matchMedia;
  // Preact waits for the next frame, and by then a file's tests may be over and jsdom with its window gone.
  options.requestAnimationFrame = queueMicrotask;
}
