// The gateway's description of itself is an OpenAPI 3.1 document: by that version's own schema, as a library that has it says.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { BIN } from "./lib/paths.mjs";

const made = () => JSON.parse(execFileSync(join(BIN, "gleaner-api"), ["json"], { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 }));

test("the API's description is a valid OpenAPI 3.1 document", async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(made());
  assert.equal(valid, true, JSON.stringify(errors, null, 1)?.slice(0, 4000));
  assert.equal(validator.version, "3.1");
  assert.ok(Object.keys(validator.resolveRefs().paths).length > 20);
});

test("what is no such document is found", async () => {
  for (const spoil of [
    (/** @type {any} */ doc) => delete doc.info,
    (doc) => (doc.paths["/api/jobs"].get.parameters[0].in = "nowhere"),
    (doc) => delete doc.paths["/api/jobs"].get.responses["200"].description,
    (doc) => (doc.components.securitySchemes.bearer.type = "none"),
  ]) {
    const doc = made();
    spoil(doc);
    assert.equal((await new Validator().validate(doc)).valid, false, spoil.toString());
  }
});
