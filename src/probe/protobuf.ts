/**
 * As much of the protobuf wire format as a handful of small messages needs: no schema, no groups.
 * Source: protobuf.dev, "Encoding".
 */

export type ProtobufField =
  | { readonly number: number; readonly kind: 'varint'; readonly value: bigint }
  | { readonly number: number; readonly kind: 'bytes'; readonly value: Uint8Array }
  | { readonly number: number; readonly kind: 'fixed'; readonly value: Uint8Array };

const wireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

export function encodeVarint(value: number | bigint): number[] {
  // Negative numbers are sign-extended to 64 bits.
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return bytes;
}

/** A string, bytes or embedded message field; nothing for an empty one, as proto3 does. */
export function bytesField(number: number, value: string | Uint8Array): Uint8Array {
  const payload = typeof value === 'string' ? Buffer.from(value) : value;
  if (payload.length === 0) return new Uint8Array();
  return Buffer.concat([
    Uint8Array.from([...encodeVarint((number << 3) | wireType.bytes), ...encodeVarint(payload.length)]),
    payload,
  ]);
}

/** An integer, boolean or enum field; nothing for 0, as proto3 does. */
export function varintField(number: number, value: number | bigint | boolean): Uint8Array {
  const amount = typeof value === 'boolean' ? Number(value) : value;
  if (BigInt(amount) === 0n) return new Uint8Array();
  return Uint8Array.from([...encodeVarint((number << 3) | wireType.varint), ...encodeVarint(amount)]);
}

/** @throws RangeError when the message is cut short or has an unknown wire type */
export function decodeFields(message: Uint8Array): ProtobufField[] {
  const fields: ProtobufField[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) throw new RangeError('protobuf: message is cut short');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new RangeError('protobuf: varint is too long');
  };
  const take = (length: number): Uint8Array => {
    if (at + length > message.length) throw new RangeError('protobuf: message is cut short');
    at += length;
    return message.subarray(at - length, at);
  };
  while (at < message.length) {
    const tag = Number(varint());
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case wireType.varint:
        fields.push({ number, kind: 'varint', value: varint() });
        break;
      case wireType.bytes:
        fields.push({ number, kind: 'bytes', value: take(Number(varint())) });
        break;
      case wireType.fixed64:
        fields.push({ number, kind: 'fixed', value: take(8) });
        break;
      case wireType.fixed32:
        fields.push({ number, kind: 'fixed', value: take(4) });
        break;
      default:
        throw new RangeError(`protobuf: unknown wire type ${String(tag % 8)}`);
    }
  }
  return fields;
}

/** The last string field of that number, or "" (proto3's default). */
export function stringOf(fields: readonly ProtobufField[], number: number): string {
  const field = fields.findLast((candidate) => candidate.number === number);
  return field?.kind === 'bytes' ? Buffer.from(field.value).toString('utf8') : '';
}

/** The last integer field of that number, or 0 (proto3's default). */
export function integerOf(fields: readonly ProtobufField[], number: number): number {
  const field = fields.findLast((candidate) => candidate.number === number);
  return field?.kind === 'varint' ? Number(BigInt.asIntN(64, field.value)) : 0;
}

/** The last integer field of that number as an unsigned one of 64 bits, or 0 (proto3's default). */
export function unsignedOf(fields: readonly ProtobufField[], number: number): bigint {
  const field = fields.findLast((candidate) => candidate.number === number);
  return field?.kind === 'varint' ? BigInt.asUintN(64, field.value) : 0n;
}

/** Every field of that number that has bytes, in order: repeated strings and messages. */
export function repeatedOf(fields: readonly ProtobufField[], number: number): readonly Uint8Array[] {
  return fields.flatMap((field) => (field.number === number && field.kind === 'bytes' ? [field.value] : []));
}
