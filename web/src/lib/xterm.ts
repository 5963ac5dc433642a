// A terminal for output. What scripts/xterm-policy.ts does to xterm.js at build time has its other half here: the element
// that stands for <style>.

import { FitAddon } from "@xterm/addon-fit";
import { Terminal, type ITheme } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";

const STYLE_TAG = "gleaner-style";

class StyleElement extends HTMLElement {
  private readonly sheet = new CSSStyleSheet();
  override get textContent(): string {
    return "";
  }
  override set textContent(text: string | null) {
    this.sheet.replaceSync(text ?? "");
  }
  connectedCallback(): void {
    this.hidden = true;
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, this.sheet];
  }
  disconnectedCallback(): void {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => sheet !== this.sheet);
  }
}

/** The 16 base colours on the page's backgrounds; each is readable on its own. */
const light: ITheme = {
  background: "#ffffff", foreground: "#1d2733", cursor: "#1d2733", selectionBackground: "#b9d6ff",
  black: "#1d2733", red: "#b3202c", green: "#15693a", yellow: "#7d5700", blue: "#1b57c4", magenta: "#8a2a9b", cyan: "#0b6a78", white: "#5a6470",
  brightBlack: "#5a6470", brightRed: "#c2303c", brightGreen: "#1a7a44", brightYellow: "#8a6100", brightBlue: "#2b66d6", brightMagenta: "#9c3aad", brightCyan: "#107587", brightWhite: "#3a4450",
};
const dark: ITheme = {
  background: "#0e1318", foreground: "#dfe6ee", cursor: "#dfe6ee", selectionBackground: "#2c4a78",
  black: "#7d8a98", red: "#ff8d93", green: "#6fdb98", yellow: "#f0c870", blue: "#8bb6ff", magenta: "#e2a3f0", cyan: "#62d8e0", white: "#dfe6ee",
  brightBlack: "#98a5b3", brightRed: "#ffa8ad", brightGreen: "#8ceab0", brightYellow: "#f7d890", brightBlue: "#a8c8ff", brightMagenta: "#eebcf8", brightCyan: "#85e6ec", brightWhite: "#ffffff",
};

export interface TerminalView {
  terminal: Terminal;
  fit: () => void;
  setDark: (dark: boolean) => void;
  destroy: () => void;
}

const SCROLLBACK_LINES = 20_000;

/** A terminal for output in `host`, as large as that is. */
export function openTerminal(host: HTMLElement, isDark: boolean): TerminalView {
  if (!customElements.get(STYLE_TAG)) customElements.define(STYLE_TAG, StyleElement);
  const terminal = new Terminal({
    convertEol: true,
    disableStdin: true,
    fontFamily: getComputedStyle(host).fontFamily,
    fontSize: 13,
    minimumContrastRatio: 4.5,
    screenReaderMode: true,
    scrollback: SCROLLBACK_LINES,
    theme: isDark ? dark : light,
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(host);
  fit.fit();
  const size = new ResizeObserver(() => fit.fit());
  size.observe(host);
  return {
    terminal,
    fit: () => fit.fit(),
    setDark: (now) => {
      terminal.options.theme = now ? dark : light;
    },
    destroy: () => {
      size.disconnect();
      terminal.dispose();
    },
  };
}
