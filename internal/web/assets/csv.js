// lines yields the records of a CSV file (RFC 4180) with the number of the
// line on which each begins. A record whose quotes span lines is one. read()
// says how many bytes have been read.
export async function* lines(source, signal) {
  const reader = source.stream().pipeThrough(new TextDecoderStream()).getReader();
  let read = 0;
  let rest = "";
  let number = 1;
  try {
    for (;;) {
      signal.throwIfAborted();
      const { value, done } = await reader.read();
      if (!done) {
        read += value.length;
        rest += value;
      }
      let from = 0;
      for (let to; (to = recordEnd(rest, from)) >= 0; ) {
        const text = rest.slice(from, to).replace(/\r$/, "");
        if (text !== "") yield { number, text: number === 1 ? text.replace(/^\ufeff/, "") : text, read: () => read };
        number += text.split("\n").length;
        from = to + 1;
      }
      rest = rest.slice(from);
      if (rest.length > 1 << 20) throw new Error(`Line ${number} is longer than a million characters, or a quote is not closed.`);
      if (done) break;
    }
    if (rest.trim() !== "") yield { number, text: rest.replace(/\r$/, ""), read: () => read };
  } finally {
    await reader.cancel();
  }
}

// recordEnd returns where the record that begins at from ends: a line feed
// outside of quotes, or -1.
function recordEnd(text, from) {
  let quoted = false;
  for (let i = from; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 34) quoted = !quoted;
    else if (c === 10 && !quoted) return i;
  }
  return -1;
}

// cells returns the cells of a record.
export function cells(text, separator = ",") {
  if (!text.includes('"')) return text.split(separator);
  const found = [];
  let cell = "";
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"' && quoted && text[i + 1] === '"') {
      cell += '"';
      i++;
    } else if (c === '"') quoted = !quoted;
    else if (c === separator && !quoted) {
      found.push(cell);
      cell = "";
    } else cell += c;
  }
  found.push(cell);
  return found;
}
