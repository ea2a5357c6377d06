// Screens of an episode. Their format is described in crates/env/src/film.rs.
"use strict";
class Film {
  static EVERY = 64; // frames between two that are kept whole, from which the others follow

  /** `ready` is called once the pictures can be drawn. */
  constructor(track, frames, ready) {
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    [this.width, this.height, this.frames] = [track.width, track.height, frames];
    this.canvas = new OffscreenCanvas(this.width, this.height);
    this.palette = bytes(track.palette);
    const stream = new Blob([bytes(track.data)]).stream().pipeThrough(new DecompressionStream("deflate"));
    new Response(stream).arrayBuffer().then((changes) => {
      this.index(new Uint8Array(changes));
      ready();
    });
  }

  count() {
    let count = 0, byte = 128;
    for (let shift = 1; byte > 127; shift *= 128) {
      byte = this.changes[this.place++];
      count += (byte & 127) * shift;
    }
    return count;
  }

  /** Change `pixels` to the frame whose changes begin at `place`. */
  advance(pixels) {
    let at = 0;
    for (let runs = this.count(); runs > 0; runs--) {
      at += this.count();
      const length = this.count();
      pixels.set(this.changes.subarray(this.place, this.place + length), at);
      at += length;
      this.place += length;
    }
  }

  /** Keep some frames whole, and where the changes of the next one begin. */
  index(changes) {
    [this.changes, this.place, this.whole] = [changes, 0, []];
    const pixels = new Uint8Array(this.width * this.height);
    for (let t = 0; t < this.frames; t++) {
      this.advance(pixels);
      if (t % Film.EVERY === 0) this.whole.push({ pixels: pixels.slice(), place: this.place });
    }
  }

  /** Colour numbers of frame `t`. */
  pixels(t) {
    const { pixels, place } = this.whole[Math.floor(t / Film.EVERY)];
    const frame = pixels.slice();
    this.place = place;
    for (let i = 0; i < t % Film.EVERY; i++) this.advance(frame);
    return frame;
  }

  /** Draw frame `t` as a television of 4 by 3 shows it. */
  draw(pen, width, height, t) {
    if (!this.whole) return;
    const image = new ImageData(this.width, this.height);
    this.pixels(t).forEach((number, i) => {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = this.palette[3 * number + c];
      image.data[4 * i + 3] = 255;
    });
    this.canvas.getContext("2d").putImageData(image, 0, 0);
    pen.imageSmoothingEnabled = false;
    const shown = Math.min(width, height * 4 / 3);
    pen.drawImage(this.canvas, (width - shown) / 2, 0, shown, shown * 3 / 4);
  }
}
