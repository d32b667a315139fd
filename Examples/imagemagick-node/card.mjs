// What a title card looks like: colours, shapes and the places of letters, decided from a prompt and a seed alone. The result is
// a drawing in MVG, ImageMagick's language for vectors.
//
// No text of a job stands in it but as single letters, each in a quoted string of its own. What ImageMagick reads from texts
// (`@file`, `%[property]`, `\n`, `label:@file`, `&lt;`) needs two letters at least, and so cannot be said.

const ADVANCE = 0.602 // width of each letter of DejaVu Sans Mono, in sizes of the type
const LEADING = 1.3 // from line to line, in sizes of the type
const LEAST_SIZE = 7 // pixels: what is smaller nobody reads
const LETTERS = 600 // what a card shows at most; a longer text ends in an ellipsis

// The words that choose colours: two of the sky, from above, one of the ground, one of the light. Others leave it to the seed.
const MOODS = [
  [/\b(night|moon|stars?|dark|space|midnight)\b/, ['#0b1026', '#2b3a67', '#0a0d18', '#f4f1de']],
  [/\b(sea|ocean|water|waves?|lighthouse|rain|river|blue)\b/, ['#89c2d9', '#e8f1f2', '#014f86', '#fff3b0']],
  [/\b(sunset|dusk|dawn|fire|orange|red|autumn|desert)\b/, ['#5f0f40', '#fb8b24', '#2d0a1f', '#ffd166']],
  [/\b(forest|trees?|green|garden|spring|jungle|grass)\b/, ['#b7d8b0', '#f1f7e7', '#2d5a3d', '#f9e784']],
  [/\b(snow|winter|ice|white|clouds?|fog)\b/, ['#b8c8d8', '#ffffff', '#6b7f94', '#ffffff']],
  [/\b(rose|pink|love|flowers?|purple|violet)\b/, ['#f7cad0', '#fff0f3', '#7b2d5b', '#ff99ac']],
]
const OTHERS = [
  ['#f2e8cf', '#ffffff', '#386641', '#bc4749'], ['#22223b', '#9a8c98', '#151525', '#f2e9e4'],
  ['#ffcb69', '#fff3d6', '#7f4f24', '#d62828'], ['#cddafd', '#fdf7fa', '#3d405b', '#e07a5f'],
]

/** Numbers from 0 to 1 that are the same for the same text (FNV-1a, then mulberry32). */
export function dice(text) {
  let state = 0x811c9dc5
  for (const byte of Buffer.from(text)) state = Math.imul(state ^ byte, 0x01000193)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The letters that can be drawn one by one; everything else, marks and controls, is a space or nothing. */
export function plain(text) {
  return text.normalize('NFC').replace(/\p{M}/gu, '').replace(/[^\p{L}\p{N}\p{P}\p{S}]+/gu, ' ').trim()
}

/** The title, up to the first end of a clause, and what follows it. */
export function split(text) {
  const end = /[.,;:!?\n\r]\s/u.exec(`${text} `)
  if (!end) return [plain(text), '']
  const mark = '!?'.includes(end[0][0]) ? 1 : 0
  const title = plain(text.slice(0, end.index + mark))
  return title ? [title, plain(text.slice(end.index + 1))] : [plain(text), '']
}

/** Lines of at most `columns` letters; a word that is longer is cut. */
export function wrap(text, columns) {
  const lines = ['']
  for (const whole of text.split(' ')) {
    const word = [...whole]
    const room = columns - [...lines.at(-1)].length
    if (lines.at(-1) && word.length < room) lines[lines.length - 1] += ` ${whole}`
    else if (!lines.at(-1) && word.length <= columns) lines[lines.length - 1] = whole
    else for (let at = 0; at < word.length; at += columns) lines.push(word.slice(at, at + columns).join(''))
  }
  return lines.filter((line) => line)
}

/** The greatest type from `most` down in which the text fits; the least one with the text cut when none is. */
function fit(text, width, height, most) {
  for (let size = Math.max(LEAST_SIZE, Math.floor(most)); ; size = Math.max(LEAST_SIZE, Math.floor(size * 0.93))) {
    const lines = wrap(text, Math.max(1, Math.floor(width / (size * ADVANCE))))
    const room = Math.max(1, Math.floor(height / (size * LEADING)))
    if (lines.length <= room) return { size, lines }
    if (size > LEAST_SIZE) continue
    const kept = lines.slice(0, room)
    kept[room - 1] = `${[...kept[room - 1]].slice(0, -1).join('')}…`
    return { size, lines: kept }
  }
}

// A letter as a string of MVG.
const quoted = (letter) => (letter === "'" ? `"'"` : letter === '\\' ? `'\\\\'` : `'${letter}'`)
const round = (number) => Math.round(number * 10) / 10

/** The commands for lines of text, each letter in its place. */
export function letters(lines, x, y, size, advance = size * ADVANCE) {
  const commands = [`font-size ${round(size)}`]
  for (const [row, line] of lines.entries()) {
    for (const [column, letter] of [...line].entries()) {
      if (letter === ' ') continue
      commands.push(`text ${round(x + column * advance)},${round(y + row * size * LEADING)} ${quoted(letter)}`)
    }
  }
  return commands
}

const light = (colour) => [1, 3, 5].reduce((sum, at, part) => sum + parseInt(colour.slice(at, at + 2), 16) * [0.3, 0.59, 0.11][part], 0)

/** The card: {sky: its colours from above, drawing: MVG}. `font` is the path of the type, which is the engine's own. */
export function card({ prompt, width, height, seed, font }) {
  const random = dice(`${seed}\n${prompt}`)
  const lower = prompt.toLowerCase()
  const mood = MOODS.find(([words]) => words.test(lower))?.[1] ?? OTHERS[Math.floor(random() * OTHERS.length)]
  const [above, below, ground, lamp] = mood
  const commands = [`viewbox 0 0 ${width} ${height}`, 'stroke none']

  const disc = Math.min(width, height) * (0.08 + 0.1 * random())
  const [sunX, sunY] = [width * (0.15 + 0.7 * random()), height * (0.12 + 0.25 * random())]
  commands.push(`fill ${lamp}`, `circle ${round(sunX)},${round(sunY)} ${round(sunX + disc)},${round(sunY)}`)
  for (let range = 0; range < 3; range++) { // three ranges of hills, the nearest last
    const points = []
    const [level, swing, phase] = [0.66 + 0.1 * range, 0.03 + 0.05 * random(), random() * 2 * Math.PI]
    const waves = 1 + 2 * random()
    for (let at = 0; at <= 32; at++) {
      const y = height * (level + swing * Math.sin(phase + (waves * at * 2 * Math.PI) / 32))
      points.push(`${round((width * at) / 32)},${round(y)}`)
    }
    commands.push(`fill ${ground}`, `fill-opacity ${[0.35, 0.6, 1][range]}`, `polygon 0,${height} ${points.join(' ')} ${width},${height}`)
  }
  commands.push('fill-opacity 1')

  const shown = [...prompt].length > LETTERS ? `${[...prompt].slice(0, LETTERS - 1).join('')}…` : prompt
  const [title, rest] = split(shown)
  const margin = Math.round(Math.min(width, height) * 0.08)
  const [roomX, roomY] = [width - 2 * margin, height - 2 * margin]
  commands.push(`font '${font}'`)
  // The title on a plate of the ground's colour, what follows below it in small type.
  const head = fit(title, roomX - margin, roomY * (rest ? 0.45 : 0.7), height / 7)
  const tail = rest ? fit(rest, roomX - margin, roomY * 0.35, head.size * 0.5) : { size: 0, lines: [] }
  const text = (head.lines.length * head.size + tail.lines.length * tail.size) * LEADING
  const top = Math.max(margin / 2, height - margin - text - margin)
  commands.push(`fill ${ground}`, 'fill-opacity 0.82')
  commands.push(`roundrectangle ${margin},${round(top)} ${width - margin},${height - margin / 2} ${margin / 4},${margin / 4}`, 'fill-opacity 1')
  commands.push(`fill ${light(ground) > 140 ? '#111111' : '#ffffff'}`)
  commands.push(...letters(head.lines, margin * 1.5, top + margin / 2 + head.size, head.size))
  const below2 = top + margin / 2 + head.lines.length * head.size * LEADING + tail.size
  commands.push(...letters(tail.lines, margin * 1.5, below2, tail.size))
  return { sky: [above, below], drawing: `${commands.join('\n')}\n` }
}
