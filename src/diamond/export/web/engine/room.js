/*
 * A session in time, as in the package's play/server/room.py: when the next frame is due, what the
 * page asks for, and what is measured. There is never a queue of frames or buttons: what is held is
 * read in the moment a frame is begun.
 */

import { createPad } from './buttons.js';

/** Frames that the page may still have to draw while the next is made. */
const UNSEEN = 2;

/** For how many frames the last picture of a game stays: half a second at the usual speed. */
const ENDING_FRAMES = 8;

/** Frames over which the rate is averaged. */
const MEASURED = 30;

/**
 * @param {import('./types.js').Facts} facts
 * @param {Awaited<ReturnType<typeof import('./session.js').createSession>>} session
 * @param {(message: import('./types.js').ToPage) => void} send to the page
 */
export function createRoom(facts, session, send) {
  const pad = createPad(facts.buttons);
  /** @type {(() => void|Promise<void>)[]} */
  const orders = [];
  /** @type {Map<number, number>} when buttons were read, of frames that the page has not shown */
  const clock = new Map();
  /** @type {number[]} */
  let finished = [];
  /** @type {?number} */
  let latency = null;
  let told = session.settings;
  let isHidden = false;
  /** @type {(value?: unknown) => void} */
  let wake = () => {};

  /**
   * Takes a message of the page.
   * @param {import('./types.js').FromPage} message
   */
  function receive(message) {
    switch (message.type) {
      case 'buttons':
        pad.update(message.held, message.pressed);
        return;
      case 'shown':
        showed(message.frame);
        break;
      case 'hidden':
        isHidden = message.hidden;
        break;
      case 'set':
        orders.push(() => session.set(message.name, message.value));
        break;
      case 'step':
        orders.push(() => session.advance(pad.read()));
        break;
      case 'reset':
        orders.push(session.reset);
        break;
      case 'rewind':
        orders.push(() => session.rewind(message.to));
        break;
      case 'start_image':
        orders.push(() => session.startFrom(bytesOf(message.pixels)));
        break;
    }
    wake();
  }

  /** @param {number} frame */
  function showed(frame) {
    const begun = clock.get(frame);
    if (begun !== undefined) latency = performance.now() - begun;
    clock.delete(frame);
  }

  /**
   * Until something happens, or for some milliseconds.
   * @param {?number} milliseconds
   */
  async function sleep(milliseconds) {
    /** @type {number|undefined} */
    let timer;
    await new Promise((resolve) => {
      wake = resolve;
      if (milliseconds !== null) timer = setTimeout(resolve, milliseconds);
    });
    clearTimeout(timer);
    wake = () => {};
  }

  async function carryOutOrders() {
    for (let order = orders.shift(); order !== undefined; order = orders.shift()) {
      const begun = performance.now();
      try {
        await order();
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        send({ type: 'problem', message: error.message });
        continue;
      }
      if (session.settings !== told) {
        told = session.settings;
        send({ type: 'settings', settings: told });
      }
      finished = [];
      clock.clear();
      publish(begun, null);
    }
  }

  /**
   * Sends the newest frame.
   * @param {?number} begun when its buttons were read
   * @param {?number} due when the next frame is, if it comes by itself
   */
  function publish(begun, due) {
    const now = performance.now();
    const { header, pixels } = session.picture;
    const times = {
      model_ms: begun === null ? null : now - begun,
      fps: due === null ? null : rate(now),
      wait_ms: due === null ? null : Math.max(0, due - now),
      latency_ms: latency,
      viewers: 1,
    };
    if (begun !== null) clock.set(header.frame, begun);
    send({ type: 'frame', header: { ...header, ...times }, pixels });
  }

  /** @param {number} now */
  function rate(now) {
    finished = [...finished, now].slice(-MEASURED);
    const span = now - finished[0];
    return span > 0 ? (1000 * (finished.length - 1)) / span : null;
  }

  /** Makes frames as long as the page is there. */
  async function play() {
    publish(null, null);
    let due = performance.now();
    for (;;) {
      await nextTurn();
      await carryOutOrders();
      const now = performance.now();
      if (session.settings.paused || isHidden || clock.size >= UNSEEN) await sleep(null);
      else if (now < due) await sleep(due - now);
      else {
        const period = 1000 / session.settings.speed;
        // A frame that is a little late does not delay the next; after a pause the beat begins anew.
        const beat = now - due < period ? due : now;
        await session.advance(pad.read());
        const isOver = session.picture.header.views.some(({ ended }) => ended);
        due = beat + period * (isOver ? ENDING_FRAMES : 1);
        publish(now, due);
      }
    }
  }

  return { receive, play };
}

const channel = new MessageChannel();

/** After the messages that came meanwhile; a timer would wait for milliseconds. */
const nextTurn = () =>
  new Promise((resolve) => {
    channel.port1.onmessage = resolve;
    channel.port2.postMessage(null);
  });

/** @param {string} base64 */
const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
