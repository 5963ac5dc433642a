// From a scroll bar to a place in very many lines. Browsers cap an element's height, so beyond HEIGHT_MAX the scroll bar
// stands for more pixels than it has: small moves (wheel, keys, touch) are taken as they are, large ones (the bar dragged)
// in proportion.

export const HEIGHT_MAX = 8_000_000;

export class ScrollMap {
  /** Pixels above the top of the window, in the whole of the lines. */
  top = 0;
  private last = 0;
  private total = 0;
  private view = 0;

  constructor(private readonly heightMax = HEIGHT_MAX) {}

  /** How high the scrolled element must be. */
  get height(): number {
    return Math.min(this.total, this.heightMax);
  }

  /** The largest `top`. */
  get topMax(): number {
    return Math.max(0, this.total - this.view);
  }

  get atEnd(): boolean {
    return this.top >= this.topMax - 2;
  }

  /** The lines' height and the window's. Keeps `top` where it can be. */
  resize(total: number, view: number): void {
    this.total = total;
    this.view = view;
    this.top = Math.min(this.top, this.topMax);
  }

  private get barMax(): number {
    return Math.max(0, this.height - this.view);
  }

  /** Where the bar stands for `top`. */
  get bar(): number {
    if (this.topMax === this.barMax) return this.top;
    return this.topMax > 0 ? (this.top / this.topMax) * this.barMax : 0;
  }

  /** The bar is at `bar` now, by the user's hand. */
  moved(bar: number): void {
    const delta = bar - this.last;
    this.last = bar;
    if (this.topMax === this.barMax) this.top = bar;
    else if (bar <= 0) this.top = 0;
    else if (bar >= this.barMax - 1) this.top = this.topMax;
    else if (Math.abs(delta) <= this.view * 2) this.top += delta;
    else this.top = (bar / this.barMax) * this.topMax;
    this.top = Math.max(0, Math.min(this.topMax, this.top));
  }

  /** Where the bar was last. */
  get seen(): number {
    return this.last;
  }

  /** The bar was put at `bar` by us: not a move. */
  put(bar: number): void {
    this.last = bar;
  }

  /** True when the bar is so far from where it belongs, or so near an end, that it should be put right now. */
  get strained(): boolean {
    if (this.topMax === this.barMax) return false;
    const room = Math.min(this.last, this.barMax - this.last);
    const wanted = this.bar;
    return room < this.view * 2 && Math.abs(this.last - wanted) > 1;
  }
}
