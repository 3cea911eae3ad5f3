// docs/asyncapi.yaml is a document of AsyncAPI 3.0, as its schema says.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import specs from '@asyncapi/specs';
import Ajv from 'ajv';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';

const document = parse(readFileSync(new URL('../../docs/asyncapi.yaml', import.meta.url), 'utf8'));

function validator() {
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats(ajv);
  return ajv.compile(specs.schemasWithoutId['3.0.0']);
}

test('the document is valid', () => {
  const validate = validator();
  assert.ok(validate(document), JSON.stringify(validate.errors?.slice(0, 5), null, 2));
  assert.equal(document.asyncapi, '3.0.0');
  assert.ok(Object.keys(document.operations).length > 30);
});

test('a document without what is needed is not', () => {
  const validate = validator();
  const { info: _, ...rest } = document;
  assert.ok(!validate(rest));
  assert.ok(!validate({ ...document, operations: { hello: { action: 'dance' } } }));
});
