// Drawing into a field: a round brush that pulls values towards an amount, by pointer or by keys.

const STRENGTH = 0.35; // of one touch of a soft brush, at its middle

/**
 * The field after one touch at the place x (per axis): values within `radius` go towards `amount`, most in the middle, and
 * all the way with a hard brush. Periodic axes are circles.
 */
export function touch(values, grid, x, radius, amount, hard) {
  const n = grid.map((axis) => axis.n);
  const off = grid.map((axis, d) =>
    Array.from({ length: axis.n }, (_, i) => {
      const far = Math.abs(place(axis, i) - x[d]);
      return axis.nodes === "periodic" ? Math.min(far, axis.length - far) : far;
    }),
  );
  const rows = n[0];
  const columns = n[1] ?? 1;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const far = off[0][i] ** 2 + (n.length > 1 ? off[1][j] ** 2 : 0);
      const share = 1 - far / radius ** 2;
      const pull = share <= 0 ? 0 : hard ? 1 : STRENGTH * share ** 2;
      if (pull) values[i * columns + j] += pull * (amount - values[i * columns + j]);
    }
  }
}

/** The coordinate of an axis' i-th node. */
export function place(axis, i) {
  const h = axis.length / (axis.nodes === "uniform" ? axis.n - 1 : axis.n);
  if (axis.nodes === "chebyshev") return axis.start + (axis.length * (1 - Math.cos((Math.PI * i) / (axis.n - 1)))) / 2;
  return axis.start + h * (i + ({ cell: 0.5, right: 1 }[axis.nodes] ?? 0));
}

/**
 * Listens to a canvas. where(event): {x, value} that the pointer is at, or null; start(), steps(at, [right, up]): the
 * same by keys; begin(), paint({x, value}), end(): of a stroke; moved({x, value} or null).
 */
export function attach(canvas, { where, start, steps, begin, paint, end, moved }) {
  let drawing = false;
  let at = null;
  canvas.addEventListener("pointerdown", (event) => {
    const there = where(event);
    if (!there || event.button || !begin()) return;
    canvas.setPointerCapture(event.pointerId);
    drawing = true;
    paint(there);
  });
  canvas.addEventListener("pointermove", (event) => {
    const there = where(event);
    moved(there);
    if (drawing && there) paint(there);
  });
  for (const over of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(over, () => {
      if (drawing) end();
      drawing = false;
    });
  }
  for (const away of ["pointerleave", "blur"]) canvas.addEventListener(away, () => moved(null));
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (!way && event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    at ??= start();
    if (way) at = steps(at, event.shiftKey ? way.map((k) => 5 * k) : way);
    else if (begin()) {
      paint(at);
      end();
    }
    moved(at);
  });
}
