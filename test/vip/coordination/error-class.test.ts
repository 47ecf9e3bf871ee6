import { describe, expect, test } from 'vitest';
import { classify, errorRows, type ApiFailure, type ErrorClass } from '../../../src/vip/coordination/error-class.ts';

const refused = (status: number, message: string, reason = ''): ApiFailure => ({
  kind: 'refused',
  status,
  reason,
  message,
});
const network = (code: string, message = code): ApiFailure => ({ kind: 'network', code, message });

/** Messages as etcd and the apiserver send them. */
const cases: readonly (readonly [ErrorClass, boolean, ApiFailure])[] = [
  ['transient', true, network('ECONNREFUSED', 'connect ECONNREFUSED 10.0.0.1:6443')],
  ['transient', true, network('EAI_AGAIN', 'getaddrinfo EAI_AGAIN api')],
  ['transient', true, network('ENOTFOUND')],
  ['transient', true, network('EHOSTUNREACH')],
  [
    'transient',
    true,
    network('ECONNRESET', 'Client network socket disconnected before secure TLS connection was established'),
  ],
  ['ambiguous', true, network('ECONNRESET', 'socket hang up')],
  ['ambiguous', true, network('EPIPE', 'write EPIPE')],
  ['permanent', true, network('CERT_HAS_EXPIRED', 'certificate has expired')],
  ['ambiguous', true, { kind: 'timeout', afterMs: 1000 }],
  ['ambiguous', true, refused(500, 'etcdserver: request timed out')],
  ['ambiguous', true, refused(500, 'etcdserver: request timed out, possibly due to previous leader failure')],
  ['ambiguous', true, refused(500, 'etcdserver: request timed out, possibly due to connection lost')],
  ['ambiguous', true, refused(500, 'etcdserver: leader changed')],
  ['ambiguous', true, refused(500, 'rpc error: code = Unavailable desc = error reading from server: EOF')],
  ['ambiguous', true, refused(500, 'rpc error: code = Unavailable desc = transport is closing')],
  ['ambiguous', true, refused(500, 'context deadline exceeded')],
  ['transient', true, refused(500, 'etcdserver: no leader')],
  ['transient', true, refused(500, 'etcdserver: too many requests')],
  ['permanent', true, refused(500, 'etcdserver: mvcc: database space exceeded')],
  ['permanent', false, refused(500, 'etcdserver: request is too large')],
  ['ambiguous', true, refused(500, 'Internal error occurred')],
  ['ambiguous', true, refused(502, 'bad gateway')],
  ['transient', true, refused(503, 'apiserver is shutting down', 'ServiceUnavailable')],
  ['ambiguous', true, refused(504, 'Timeout: request did not complete within requested timeout', 'Timeout')],
  ['transient', true, refused(429, 'Too many requests, please try again later.', 'TooManyRequests')],
  ['ambiguous', true, refused(408, 'Request Timeout')],
  ['ambiguous', true, refused(409, 'the object has been modified; please apply your changes', 'Conflict')],
  ['permanent', true, refused(401, 'Unauthorized', 'Unauthorized')],
  ['permanent', true, refused(403, 'leases is forbidden', 'Forbidden')],
  ['permanent', false, refused(404, 'namespaces "k3s-lite-vip" not found', 'NotFound')],
  ['permanent', false, refused(405, 'the server does not allow this method')],
  ['permanent', false, refused(422, 'Lease is invalid', 'Invalid')],
  ['permanent', false, refused(400, 'bad request', 'BadRequest')],
  ['lost', false, { kind: 'seen', what: 'another holder' }],
  ['lost', false, { kind: 'seen', what: 'another Lease' }],
  ['lost', false, { kind: 'seen', what: 'no Lease' }],
];

describe('[V7] a failure of the API', () => {
  test.each(cases)('is %s (retried: %s): %j', (errorClass, mayRetry, failure) => {
    expect(classify(failure)).toMatchObject({ class: errorClass, mayRetry });
  });

  test('has a row of its own in the table, and each row is met by one', () => {
    const whys = new Set(cases.map(([, , failure]) => classify(failure).why));
    expect(errorRows.map(({ why }) => why).filter((why) => !whys.has(why))).toEqual([]);
  });

  test('keeps what the server wished', () => {
    const verdict = classify({ kind: 'refused', status: 429, reason: '', message: 'busy', retryAfterMs: 1000 });
    expect(verdict).toMatchObject({ class: 'transient', retryAfterMs: 1000, text: '429 busy' });
  });
});
