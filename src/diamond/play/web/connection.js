/*
 * The line to the server: opens the WebSocket, opens it again after it broke, with longer and
 * longer pauses, and gives up where the server said so. Text arrives as objects, frames taken apart.
 * There is never more than one socket, and its listeners go when it goes.
 */

import { decodeFrame } from './protocol.js';
import { addressOf } from './server.js';

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8000;
const FINAL_CODES = new Map([
  [1008, 'The server refused this page.'],
  [1013, 'The server is full.'],
  [4000, 'Nothing happened here for a long time, so the game was ended.'],
]);
const CLIENT = 'diamond-play:client';

/**
 * @typedef {'connecting'|'connected'|'lost'|'ended'} ConnectionState
 */

/**
 * Connects, and stays connected until the server ends it.
 * @param {object} listener
 * @param {(message: import('./protocol.js').Message) => void} listener.onMessage
 * @param {(frame: import('./protocol.js').Frame) => void} listener.onFrame
 * @param {(state: ConnectionState, text: string) => void} listener.onState text for the player
 * @returns {{
 *   send: (message: import('./protocol.js').Request) => void,
 *   startAgain: () => void,
 * }}
 */
export function openConnection({ onMessage, onFrame, onState }) {
  const client = takeClient();
  /** @type {WebSocket} */
  let socket;
  let pause = FIRST_PAUSE;

  function open() {
    onState('connecting', 'Connecting');
    socket = new WebSocket(sessionAddress(client));
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('message', ({ data }) => {
      if (typeof data !== 'string') onFrame(decodeFrame(data));
      else receive(JSON.parse(data));
    });
    socket.addEventListener('close', ({ code, reason }) => {
      const end = FINAL_CODES.get(code);
      if (end === undefined) openLater();
      else onState('ended', reason || end);
    });
  }

  /** @param {import('./protocol.js').Message} message */
  function receive(message) {
    if (message.type === 'hello') {
      pause = FIRST_PAUSE;
      setSession(message.session);
      onState('connected', 'Connected');
    }
    onMessage(message);
  }

  function openLater() {
    const seconds = pause / 1000;
    const unit = seconds === 1 ? 'second' : 'seconds';
    onState('lost', `Connection lost, trying again in ${seconds} ${unit}`);
    setTimeout(open, pause);
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  }

  open();
  return {
    send(message) {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
    },
    startAgain() {
      if (socket.readyState !== WebSocket.CLOSED) return;
      setSession(null);
      open();
    },
  };
}

/**
 * Where the server listens, beside this page, with what this page's own address says.
 * @param {string} client
 */
function sessionAddress(client) {
  const session = new URLSearchParams(location.search).get('session');
  const address = addressOf('session');
  address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  if (session !== null) address.searchParams.set('session', session);
  address.searchParams.set('client', client);
  return address;
}

/**
 * Puts the session into the page's address, which can then be shared, or takes it out.
 * @param {?string} session
 */
function setSession(session) {
  const address = new URL(location.href);
  if (session === null) address.searchParams.delete('session');
  else address.searchParams.set('session', session);
  history.replaceState(null, '', address);
}

/**
 * This page's id. It lies in sessionStorage only between leaving the page and coming back, so that
 * a duplicated tab, which gets a copy of the storage, does not take its twin's seat.
 */
function takeClient() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  let client = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  try {
    client = sessionStorage.getItem(CLIENT) ?? client;
    sessionStorage.removeItem(CLIENT);
    addEventListener('pagehide', () => sessionStorage.setItem(CLIENT, client));
    addEventListener('pageshow', () => sessionStorage.removeItem(CLIENT));
  } catch {
    // Storage is forbidden here: a reloaded page is then a new one.
  }
  return client;
}
