/*
 * Stands for the line to the server: the game runs in this page, in a thread of its own,
 * and what the page sends and gets is the same. Nothing leaves this machine.
 */

/**
 * @typedef {'connecting'|'connected'|'lost'|'ended'} ConnectionState
 */

/**
 * Starts the game, and starts it again where the player asks for that after it broke down.
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
  /** @type {?Worker} */
  let worker = null;

  function open() {
    onState('connecting', 'Loading');
    const address = new URL('./engine/worker.js', import.meta.url);
    address.search = location.search;
    worker = new Worker(address, { type: 'module' });
    worker.addEventListener('message', ({ data }) => receive(data));
    worker.addEventListener('error', () => end('The game could not be loaded.'));
    tellVisibility();
  }

  /** @param {import('./engine/types.js').ToPage} message */
  function receive(message) {
    if (message.type === 'frame') onFrame(message);
    else if (message.type === 'loading') onState('connecting', message.text);
    else if (message.type === 'failed') end(message.message);
    else {
      if (message.type === 'hello') onState('connected', 'Runs here');
      onMessage(message);
    }
  }

  /** @param {string} text */
  function end(text) {
    worker?.terminate();
    worker = null;
    onState('ended', text);
  }

  // A game that nobody sees would only use up the battery.
  const tellVisibility = () => worker?.postMessage({ type: 'hidden', hidden: document.hidden });

  document.addEventListener('visibilitychange', tellVisibility);
  open();
  return {
    send: (message) => worker?.postMessage(message),
    startAgain() {
      if (worker === null) open();
    },
  };
}
