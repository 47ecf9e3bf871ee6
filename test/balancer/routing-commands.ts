/** What may happen in the random lives of a balancer. */
import fc from 'fast-check';

const addresses = ['10.0.0.1:1', '10.0.0.2:1', '10.0.0.3:1', '10.0.0.4:1'] as const;
const hosts = addresses.map((each) => each.split(':')[0] ?? '');
/** Where the balancer itself listens. */
export const own = '127.0.0.1:6444';

const address = fc.constantFrom(...addresses);
const pick = fc.nat(1000);
/** Most of what happens is good: else hardly any server would ever be better than failed. */
const command = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('update' as const),
      list: fc.subarray([...addresses, own, 'nonsense', '10.0.0.5:0']),
      weight: fc.constantFrom(1, 1, 3, 0, Number.NaN, -1),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('default' as const),
      server: fc.option(fc.constantFrom(...addresses, own)),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('heartbeats' as const),
      lost: fc.oneof(fc.constant([]), fc.subarray(hosts, { maxLength: 1 }), fc.subarray(hosts)),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('begin dial' as const), place: fc.nat(3) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('end dial' as const),
      which: pick,
      outcome: fc.constantFrom('ok', 'ok', 'ok', 'ok', 'ok', 'failed', 'slow', 'late'),
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant('check' as const),
      server: address,
      outcome: fc.constantFrom('ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'failed', 'silent'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('old check' as const), which: pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('mute' as const), server: address }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('end' as const), which: pick, broken: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(10, 1500, 6000, 61_000) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('drain' as const, 'undrain' as const, 'pin' as const, 'unpin' as const),
      server: address,
    }),
  },
);
export type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

/** Lives of `length` inputs. (Left alone, fast-check makes them far shorter than it may.) */
export const livesOf = (length: number): fc.Arbitrary<Command[]> =>
  fc.array(command, { minLength: length / 2, maxLength: length, size: 'max' });
