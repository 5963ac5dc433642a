import { describe, expect, it } from "vitest";
import type { Job } from "../src/api/types";
import { draftOf, emptyDraft, fieldFor, optionsSet, readDraft } from "../src/pages/run/draft";

describe("readDraft", () => {
  it("asks for no more than was typed", () => {
    expect(readDraft({ ...emptyDraft, command: "make\n" })).toEqual({ wanted: { command: "make" }, errors: {} });
  });
  it("takes every option", () => {
    const { wanted, errors } = readDraft({
      command: "a", mode: "direct", name: " n ", timeout: "2 h", attempts: "5", retryOn: "any", retryPause: "3", priority: "-4", delay: "1 min",
      labels: "a=b", requires: "gpu=yes", artifacts: "x/**", env: "K=V", goOn: true,
    });
    expect(errors).toEqual({});
    expect(wanted).toEqual({
      command: "a", name: "n", timeoutMs: 7_200_000, maxAttempts: 5, retryOnExit: ["any"], backoffMs: 3000, priority: -4, delayMs: 60_000,
      labels: { a: "b" }, requires: { gpu: "yes" }, artifacts: ["x/**"], env: { K: "V" }, onError: "continue",
    });
  });
  it("says what is wrong where it is", () => {
    const { errors } = readDraft({ ...emptyDraft, timeout: "soon", attempts: "0", env: "A", labels: "=", artifacts: "/x", retryOn: "0", priority: "1001" });
    expect(Object.keys(errors).sort()).toEqual(["artifacts", "attempts", "command", "env", "labels", "priority", "retryOn", "timeout"]);
    expect(errors.command).toMatch(/at least one command/);
  });
  it("knows commands that are too long, odd, or none", () => {
    const error = (command: string) => readDraft({ ...emptyDraft, command }).errors.command;
    expect(error("x".repeat(65_536))).toBeUndefined();
    expect(error("é".repeat(32_769))).toMatch(/64.0 KiB at most/);
    expect(error("ls\n\necho \u001b[0m")).toMatch(/^Command 2: /);
    expect(error("# a\n \n#b")).toMatch(/only comments/);
    expect(error("a\tb")).toBeUndefined();
  });
});

describe("draftOf", () => {
  it("gives the same request again", () => {
    const job: Job = {
      jobId: "job-1", status: "failed", command: "a\nb", fileUrl: "/uploads/x", filename: "x.zip", timeoutMs: 90_000, maxAttempts: 4, name: "n",
      priority: 5, env: { A: "1" }, onError: "continue", artifacts: ["a", "b/**"], labels: { x: "y" }, requires: { gpu: "yes" }, retryOnExit: ["75", "any"], backoffMs: 1500,
    };
    const { wanted, errors } = readDraft(draftOf(job));
    expect(errors).toEqual({});
    expect(wanted).toEqual({
      command: "a\nb", timeoutMs: 90_000, maxAttempts: 4, name: "n", priority: 5, env: { A: "1" }, onError: "continue",
      artifacts: ["a", "b/**"], labels: { x: "y" }, requires: { gpu: "yes" }, retryOnExit: ["75", "any"], backoffMs: 1500,
    });
  });
});

it("counts options that are set", () => {
  expect(optionsSet(emptyDraft)).toBe(0);
  expect(optionsSet({ ...emptyDraft, command: "x", mode: "direct", name: "n", goOn: true, env: " " })).toBe(2);
});

it("knows where a refusal belongs", () => {
  expect(fieldFor("retryOnExit")).toBe("retryOn");
  expect(fieldFor("machine")).toBe("mode");
  expect(fieldFor("offset")).toBeNull();
  expect(fieldFor(null)).toBeNull();
});
