// Fields of two axes as colours. Perceptually uniform maps: viridis and magma (van der Walt and Smith, CC0).

const STOPS = {
  viridis:
    "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e23898e21918c1f988b1fa08822a78528ae8032b67a3fbc734ec36b5ec96270cf5784d44b98d83eaddc30c2df23d8e219ece51bfde725",
  magma:
    "0000040303120a0822130d341d114729115a36106b440f7651127c5d177f6a1c81762181832681902a819c2e7faa337db73779c43c75d0416fdc4869e75263ef5d5ef56b5cf9795dfc8961fd9869fea772feb67cfec488fed395fde2a3fcf0b2fcfdbf",
};

function table(hex) {
  const stops = hex.match(/../g).map((h) => parseInt(h, 16));
  const n = stops.length / 3 - 1;
  return Uint8Array.from({ length: 256 * 3 }, (_, i) => {
    const x = ((Math.floor(i / 3) / 255) * n) * 0.999999;
    const k = Math.floor(x);
    const [a, b] = [stops[3 * k + (i % 3)], stops[3 * (k + 1) + (i % 3)]];
    return Math.round(a + (x - k) * (b - a));
  });
}

const TABLES = Object.fromEntries(Object.entries(STOPS).map(([name, hex]) => [name, table(hex)]));

/** The colour of a share in [0, 1], as CSS says it. */
export function colour(map, share) {
  const k = 3 * Math.round(255 * Math.min(1, Math.max(0, share)));
  return `rgb(${TABLES[map][k]} ${TABLES[map][k + 1]} ${TABLES[map][k + 2]})`;
}

/** values (nx, ny), x to the right and y upwards, from low to high. */
export function drawMap(canvas, values, [nx, ny], [low, high], map) {
  const image = new ImageData(nx, ny);
  const scale = 255 / (high - low || 1);
  const colours = TABLES[map];
  for (let i = 0; i < nx; i++) {
    for (let j = 0; j < ny; j++) {
      const k = 3 * Math.round(Math.min(255, Math.max(0, (values[i * ny + j] - low) * scale)));
      const to = 4 * ((ny - 1 - j) * nx + i);
      image.data[to] = colours[k];
      image.data[to + 1] = colours[k + 1];
      image.data[to + 2] = colours[k + 2];
      image.data[to + 3] = 255;
    }
  }
  const small = new OffscreenCanvas(nx, ny);
  small.getContext("2d").putImageData(image, 0, 0);
  const context = sized(canvas);
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

/** A bar of all colours, the largest value at the right. */
export function drawBar(canvas, map) {
  const context = sized(canvas);
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = colour(map, x / (canvas.width - 1));
    context.fillRect(x, 0, 1, canvas.height);
  }
}

/** The context of a canvas that has a pixel for each of the screen's. */
export function sized(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  return canvas.getContext("2d");
}
