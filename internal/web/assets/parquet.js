// Writes Parquet (https://parquet.apache.org/docs/file-format/): columns of
// text or of numbers, any of which may be unknown, in row groups of one page a
// column, plainly encoded and packed by gzip, which browsers have.

// Codes of the format.
const kinds = { number: 5, text: 6 }; // DOUBLE, BYTE_ARRAY
const plain = 0;
const runs = 3; // RLE and bit-packing, of definition levels
const gzip = 2;
const optional = 1;
const utf8 = 0;

const encoder = new TextEncoder();

// Thrift writes a structure in Thrift's compact protocol.
class Thrift {
  bytes = [];
  last = 0;

  varint(v) {
    for (; v >= 128; v = Math.floor(v / 128)) this.bytes.push((v % 128) + 128);
    this.bytes.push(v);
    return this;
  }

  // head begins the field of a number; fields come in order.
  head(field, type) {
    this.bytes.push(((field - this.last) << 4) | type);
    this.last = field;
    return this;
  }

  i32(field, v) { return this.head(field, 5).varint(2 * v); } // none is negative
  i64(field, v) { return this.head(field, 6).varint(2 * v); }
  text(field, v) { return this.head(field, 8).binary(v); }
  struct(field, v) { return this.head(field, 12).append(v.end()); }
  structs(field, list) { return this.list(field, 12, list, (v) => this.append(v.end())); }
  texts(field, list) { return this.list(field, 8, list, (v) => this.binary(v)); }
  i32s(field, list) { return this.list(field, 5, list, (v) => this.varint(2 * v)); }

  list(field, type, list, write) {
    this.head(field, 9);
    if (list.length < 15) this.bytes.push((list.length << 4) | type);
    else this.bytes.push(0xf0 | type), this.varint(list.length);
    list.forEach(write);
    return this;
  }

  binary(v) {
    const bytes = encoder.encode(v);
    return this.varint(bytes.length).append(bytes);
  }

  append(bytes) {
    for (const b of bytes) this.bytes.push(b);
    return this;
  }

  end() {
    this.bytes.push(0);
    return this.bytes;
  }
}

// page returns the body of a page: which values are known, and those.
function page(kind, values) {
  const levels = new Uint8Array(Math.ceil(values.length / 8));
  values.forEach((v, i) => { if (v !== null) levels[i >> 3] |= 1 << (i & 7); });
  const run = new Thrift().varint(2 * levels.length + 1).bytes;
  const known = values.filter((v) => v !== null);
  const texts = kind === "text" ? known.map((v) => encoder.encode(v)) : [];
  const size = kind === "text" ? texts.reduce((sum, t) => sum + 4 + t.length, 0) : 8 * known.length;
  const bytes = new Uint8Array(4 + run.length + levels.length + size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, run.length + levels.length, true);
  bytes.set(run, 4);
  bytes.set(levels, 4 + run.length);
  let at = 4 + run.length + levels.length;
  if (kind === "number") {
    for (const v of known) { view.setFloat64(at, v, true); at += 8; }
  }
  for (const t of texts) {
    view.setUint32(at, t.length, true);
    bytes.set(t, at + 4);
    at += 4 + t.length;
  }
  return bytes;
}

const packed = async (bytes) => new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer());

// Parquet is a file that is being written, of columns [{ name, kind }] with
// kind text or number.
export class Parquet {
  #columns;
  #pieces = [encoder.encode("PAR1")];
  #at = 4;
  #groups = [];
  #rows = 0;

  constructor(columns) {
    this.#columns = columns;
  }

  // add adds a row group: of each column its values, null where unknown.
  async add(columns) {
    const begin = this.#at;
    const rows = columns[0].length;
    const chunks = [];
    let size = 0;
    for (const [i, { name, kind }] of this.#columns.entries()) {
      const bytes = page(kind, columns[i]);
      const body = await packed(bytes);
      const head = new Uint8Array(new Thrift().i32(1, 0).i32(2, bytes.length).i32(3, body.length)
        .struct(5, new Thrift().i32(1, rows).i32(2, plain).i32(3, runs).i32(4, runs)).end());
      const unpacked = head.length + bytes.length;
      chunks.push(new Thrift().i64(2, this.#at).struct(3, new Thrift().i32(1, kinds[kind]).i32s(2, [plain, runs]).texts(3, [name]).i32(4, gzip)
        .i64(5, rows).i64(6, unpacked).i64(7, head.length + body.length).i64(9, this.#at)));
      this.#pieces.push(head, body);
      this.#at += head.length + body.length;
      size += unpacked;
    }
    this.#groups.push(new Thrift().structs(1, chunks).i64(2, size).i64(3, rows).i64(5, begin).i64(6, this.#at - begin));
    this.#rows += rows;
    // What is written lies in a file of the browser's own, not in memory.
    this.#pieces = [new Blob(this.#pieces)];
  }

  // end returns the file.
  end() {
    const schema = [new Thrift().text(4, "houses").i32(5, this.#columns.length), ...this.#columns.map(({ name, kind }) => {
      const element = new Thrift().i32(1, kinds[kind]).i32(3, optional).text(4, name);
      return kind === "text" ? element.i32(6, utf8).struct(10, new Thrift().struct(1, new Thrift())) : element;
    })];
    const foot = new Uint8Array(new Thrift().i32(1, 1).structs(2, schema).i64(3, this.#rows).structs(4, this.#groups).text(6, "housing page").end());
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, foot.length, true);
    return new Blob([...this.#pieces, foot, length, encoder.encode("PAR1")], { type: "application/vnd.apache.parquet" });
  }
}
