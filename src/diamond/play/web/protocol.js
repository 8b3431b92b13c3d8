/*
 * What the server says, as types for reading, and how pictures come: the length of the header (four
 * bytes, little-endian), the header in JSON, then the pixels of each picture as rows of RGB.
 */

/**
 * @typedef {object} Settings
 * @property {'agent'|'human'|'random'} player
 * @property {'dream'|'real'|'both'} world
 * @property {boolean} paused
 * @property {number} speed frames a second
 * @property {number} horizon 0 for an endless dream
 * @property {number} denoising_steps
 * @property {number} order
 * @property {number} churn
 * @property {number} start_noise
 * @property {number} temperature
 * @property {number} seed
 * @property {number} start -1 where the seed decides
 * @property {boolean} show_denoising
 * @property {boolean} recording
 */

/**
 * @typedef {object} Action
 * @property {string} name
 * @property {string[]} buttons
 */

/**
 * @typedef {object} Hello the first message
 * @property {number} protocol version of what is said
 * @property {?string} session null where nobody else can watch
 * @property {boolean} driver whether this page has the controls
 * @property {string} title
 * @property {string} subtitle
 * @property {number} height
 * @property {number} width
 * @property {Action[]} actions
 * @property {string[]} buttons
 * @property {Object<string, string>} keys from KeyboardEvent's code to button
 * @property {number} starts how many moments a dream can start from
 * @property {?string} real_missing why there is no real game
 * @property {?string} recordings the folder that recordings go to; null where there are none
 * @property {Settings} settings
 * @property {Object<string, [number, number]>} ranges least and most of each setting
 */

/**
 * @typedef {(
 *   | ({type: 'hello'} & Hello)
 *   | {type: 'settings', settings: Settings}
 *   | {type: 'driver', driver: boolean, taken: boolean}
 *   | {type: 'problem', message: string}
 * )} Message what the server says besides frames; `taken` is whether anybody has the controls
 */

/**
 * @typedef {(
 *   | {type: 'buttons', held: string[], pressed: string[]}
 *   | {type: 'set', name: string, value: string|number|boolean}
 *   | {type: 'step'|'reset'|'resync'|'drive'}
 *   | {type: 'rewind', to: number}
 *   | {type: 'start_image', pixels: string}
 *   | {type: 'shown', frame: number}
 * )} Request what the page says; `pixels` are rows of RGB in base64
 */

/**
 * @typedef {object} View
 * @property {string} name "dream", "real", or with the denoising shown "noise", "step 1", ...
 * @property {number} height
 * @property {number} width
 * @property {number} [steps]
 * @property {number} [reward]
 * @property {number} [return]
 * @property {?number} [termination]
 * @property {?('terminated'|'truncated'|'horizon')} [ended]
 */

/**
 * @typedef {object} Header
 * @property {number} frame
 * @property {number} oldest the first frame that can be gone back to
 * @property {number} newest
 * @property {?number} action null on an episode's first frame
 * @property {?number[]} policy one probability an action
 * @property {?number} value
 * @property {?number} entropy
 * @property {?number} model_ms
 * @property {?number} fps
 * @property {?number} wait_ms
 * @property {?number} latency_ms
 * @property {number} viewers
 * @property {View[]} views
 */

/**
 * @typedef {object} Frame
 * @property {Header} header
 * @property {Uint8Array[]} pixels of each view; they lie in the message and are not copied
 */

/**
 * @typedef {object} Recording what the list says of one
 * @property {number} number
 * @property {'real'|'dream'} world
 * @property {('agent'|'human'|'random')[]} players
 * @property {?number} parent number of the recording that it branched off
 * @property {?number} parent_step
 * @property {number} steps
 * @property {number} return
 * @property {'terminated'|'truncated'} ended
 * @property {[number, number][]} rewards each with the step that it came with, zeros left out
 */

/**
 * @typedef {object} FilmHeader
 * @property {number} height
 * @property {number} width
 * @property {number} frames
 * @property {number[]} actions
 * @property {number} fps
 */

/**
 * @typedef {object} Film a recording's pictures
 * @property {FilmHeader} header
 * @property {Uint8Array[]} pixels of each picture, one more than there are actions
 */

/**
 * @param {ArrayBuffer} buffer
 * @returns {Frame}
 */
export function decodeFrame(buffer) {
  const { content, offset } = decodeHeader(buffer);
  const header = /** @type {Header} */ (content);
  return { header, pixels: cut(buffer, offset, header.views) };
}

/**
 * @param {ArrayBuffer} buffer
 * @returns {Film}
 */
export function decodeFilm(buffer) {
  const { content, offset } = decodeHeader(buffer);
  const header = /** @type {FilmHeader} */ (content);
  return { header, pixels: cut(buffer, offset, Array(header.frames).fill(header)) };
}

/**
 * @param {ArrayBuffer} buffer
 * @returns {{content: unknown, offset: number}} the header, and where the pixels begin
 */
function decodeHeader(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const content = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { content, offset: 4 + length };
}

/**
 * @param {ArrayBuffer} buffer
 * @param {number} offset
 * @param {{height: number, width: number}[]} sizes
 */
function cut(buffer, offset, sizes) {
  let end = offset;
  return sizes.map(({ height, width }) => {
    const start = end;
    end += 3 * height * width;
    return new Uint8Array(buffer, start, end - start);
  });
}
