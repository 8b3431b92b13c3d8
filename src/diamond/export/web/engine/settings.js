/*
 * What a player can turn while the game runs, as in the package's play/settings.py.
 */

const CHOICES = { player: ['agent', 'human', 'random'], world: ['dream'] };
const WHOLE = ['speed', 'horizon', 'denoising_steps', 'order', 'seed', 'start'];

/**
 * The settings but for one.
 * @param {any} settings
 * @param {string} name
 * @param {any} value
 * @param {Object<string, [number, number]>} ranges least and most of each number
 * @returns {any}
 * @throws {RangeError} there is no such setting, or the value is of another kind or out of range
 */
export function changed(settings, name, value, ranges) {
  if (!(name in settings) || name === 'recording') {
    throw new RangeError(`setting is ${name}: an exported dream has none of this name`);
  }
  if (name in CHOICES) {
    const choices = CHOICES[name];
    if (!choices.includes(value)) {
      throw new RangeError(`${name} is ${value}: choose ${choices.join(', ')}`);
    }
  } else if (name in ranges) {
    const [least, most] = ranges[name];
    const isWhole = !WHOLE.includes(name) || Number.isInteger(value);
    if (!Number.isFinite(value) || value < least || value > most || !isWhole) {
      throw new RangeError(`${name} is ${value}: give a number from ${least} to ${most}`);
    }
  } else if (typeof value !== 'boolean') {
    throw new RangeError(`${name} is ${value}: give true or false`);
  }
  return { ...settings, [name]: value };
}
