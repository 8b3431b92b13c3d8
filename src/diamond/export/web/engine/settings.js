/*
 * What a player can turn while the game runs, as in the package's play/game/settings.py.
 */

/** @type {Object<string, string[]>} */
const CHOICES = { player: ['agent', 'human', 'random'], world: ['dream'] };
const WHOLE = ['speed', 'horizon', 'denoising_steps', 'order', 'seed', 'start'];

/** @typedef {import('./types.js').Settings} Settings */

/**
 * The settings but for one.
 * @param {Settings} settings
 * @param {string} name
 * @param {unknown} value
 * @param {import('./types.js').Ranges} ranges
 * @returns {Settings}
 * @throws {RangeError} there is no such setting, or the value is of another kind or out of range
 */
export function changed(settings, name, value, ranges) {
  if (!(name in settings) || name === 'recording') {
    throw new RangeError(`setting is ${name}: an exported dream has none of this name`);
  }
  if (name in CHOICES) {
    const choices = CHOICES[name];
    if (typeof value !== 'string' || !choices.includes(value)) {
      throw new RangeError(`${name} is ${value}: choose ${choices.join(', ')}`);
    }
  } else if (name in ranges) {
    const [least, most] = ranges[name];
    const isWrong = WHOLE.includes(name) ? !Number.isInteger(value) : !Number.isFinite(value);
    if (isWrong || Number(value) < least || Number(value) > most) {
      throw new RangeError(`${name} is ${value}: give a number from ${least} to ${most}`);
    }
  } else if (typeof value !== 'boolean') {
    throw new RangeError(`${name} is ${value}: give true or false`);
  }
  return { ...settings, [name]: value };
}
