// What the browser keeps for the page; where it may keep nothing, this tab remembers it.

function kept(kind) {
  const memory = new Map();
  return {
    /** Give what was kept by a name, or null. */
    get(name) {
      if (memory.has(name)) return memory.get(name);
      try {
        return window[kind].getItem(name);
      } catch {
        return null;
      }
    },
    /** Keep a string by a name. */
    set(name, value) {
      memory.set(name, value);
      try {
        window[kind].setItem(name, value);
      } catch {
        // Forbidden or full: it lasts as long as this tab.
      }
    },
  };
}

/** For all visits from this browser. */
export const always = kept("localStorage");

/** For this tab alone. */
export const inTab = kept("sessionStorage");
