// What hands do on the map: drag, wheel, pinch, click, lasso, and keys.

const CLICK_PX = 5;
const STEP_PX = 60;
const WHEEL = 0.0016;

/**
 * Listen to a stage.
 * @param {HTMLElement} stage
 * @param {Camera} camera
 * @param {object} heard `hover(left, top)`, `leave()`, `click(left, top)`, `lassoed(corners)`,
 *   `drawing(places)`, `isLassoing()`, `key(name)`: whether the key was one of its own
 */
export function listenTo(stage, camera, heard) {
  const pointers = new Map();
  let travelled = 0;
  let lasso = null;

  const placeOf = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    if (!pointers.size) travelled = 0;
    pointers.set(event.pointerId, placeOf(event));
    lasso = pointers.size === 1 && (heard.isLassoing() || event.shiftKey) ? [placeOf(event)] : null;
    heard.leave();
  });

  stage.addEventListener("pointermove", (event) => {
    const now = placeOf(event);
    const before = pointers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") heard.hover(...now);
      return;
    }
    const [right, down] = [now[0] - before[0], now[1] - before[1]];
    travelled += Math.abs(right) + Math.abs(down);
    pointers.set(event.pointerId, now);
    if (lasso) {
      lasso.push(now);
      heard.drawing(lasso);
    } else if (pointers.size === 1) {
      if (travelled > CLICK_PX) camera.pan(right, down);
    } else if (pointers.size === 2) {
      const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
      const apart = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]) || 1;
      camera.pan(right / 2, down / 2);
      camera.zoomBy(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    }
  });

  const end = (event) => {
    const place = pointers.get(event.pointerId);
    if (!place) return;
    pointers.delete(event.pointerId);
    const drawn = lasso;
    lasso = null;
    if (drawn) heard.drawing([]);
    if (event.type === "pointercancel") return;
    if (drawn && travelled > CLICK_PX) heard.lassoed(drawn);
    else if (travelled <= CLICK_PX && !pointers.size) heard.click(...place);
  };
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);
  stage.addEventListener("pointerleave", () => heard.leave());

  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 18 : 1;
      const delta = Math.min(Math.max(event.deltaY * lines, -240), 240);
      camera.zoomBy(Math.exp(-delta * WHEEL * (event.ctrlKey ? 5 : 1)), ...placeOf(event));
    },
    { passive: false },
  );

  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = {
      ArrowLeft: () => camera.pan(STEP_PX, 0),
      ArrowRight: () => camera.pan(-STEP_PX, 0),
      ArrowUp: () => camera.pan(0, STEP_PX),
      ArrowDown: () => camera.pan(0, -STEP_PX),
      "+": () => camera.zoomBy(1.4),
      "=": () => camera.zoomBy(1.4),
      "-": () => camera.zoomBy(1 / 1.4),
      0: () => camera.home(),
    };
    if (keys[event.key]) keys[event.key]();
    else if (!heard.key(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  });
}
