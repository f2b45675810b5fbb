// The server's API: JSON and bytes, the key asked for once and kept in this tab.

import { inTab } from "./kept.js";

const KEY = "nearfield-key";
const SENDABLE = /^[!-~]+$/; // as all keys of the server are
const REFUSED = "That key was not accepted.";

/** A request that got no result; `message` is for people. */
export class Failed extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

let asking = null;

/**
 * Ask for JSON.
 * @param {string} path below the page, such as "api/status"
 * @param {object} [body] makes it a POST
 * @param {AbortSignal} [signal] gives up
 */
export async function api(path, body, signal) {
  return (await ask(path, body, signal)).json();
}

/** Ask for bytes. */
export async function binary(path, signal) {
  return (await ask(path, undefined, signal)).arrayBuffer();
}

async function ask(path, body, signal) {
  const key = inTab.get(KEY);
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const request = { headers, signal };
  if (body !== undefined) {
    request.method = "POST";
    request.body = JSON.stringify(body);
    headers["content-type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path.replace(/^\//, ""), request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failed("The server does not answer. Is it still running?");
  }
  if (answer.status === 401) {
    await unlock(key);
    return ask(path, body, signal);
  }
  if (!answer.ok) throw new Failed(await reason(answer), answer.status);
  return answer;
}

async function reason(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

/** Ask the person for the key, once however many requests wait for it. */
function unlock(refused) {
  if (inTab.get(KEY) !== refused) return Promise.resolve(); // a newer one is there
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("key-dialog");
    const input = document.getElementById("key-input");
    const form = document.getElementById("key-form");
    const tell = (text) => (document.getElementById("key-error").textContent = text);
    tell(refused ? REFUSED : "");
    input.value = "";
    const hold = (event) => event.preventDefault(); // nothing works behind it
    const done = (event) => {
      event.preventDefault();
      const key = input.value.trim();
      if (!SENDABLE.test(key)) return tell(REFUSED); // a browser sends no such header
      inTab.set(KEY, key);
      form.removeEventListener("submit", done);
      dialog.removeEventListener("cancel", hold);
      dialog.close();
      asking = null;
      return resolve();
    };
    form.addEventListener("submit", done);
    dialog.addEventListener("cancel", hold);
    dialog.showModal();
    input.focus();
  });
  return asking;
}
