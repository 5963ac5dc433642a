import { describe, expect, it } from "vitest";
import { readExits, readGlobs, readNumber, readPairs, readSpan, writePairs, writeSpan } from "../src/pages/run/lines";

const max = 4096;

describe("pairs", () => {
  it("reads KEY=VALUE lines", () => {
    expect(readPairs(" A =1\n\nB=x = y\nC=\n", { max })).toEqual({ A: "1", B: "x = y", C: "" });
    expect(readPairs("\n \n", { max })).toBeUndefined();
    expect(readPairs("__proto__=1", { max })).toHaveProperty("__proto__", "1");
  });
  it("says which line is bad", () => {
    expect(() => readPairs("A=1\nB", { max })).toThrow("Line 2: there is no =");
    expect(() => readPairs("\n\n=x", { max })).toThrow("Line 3: nothing stands before");
    expect(() => readPairs("A=1\nA=2", { max })).toThrow("Line 2: A stands twice");
    expect(() => readPairs("A=\u0007", { max })).toThrow("Line 1: there is a control");
    expect(() => readPairs("1A=x", { max, variables: true })).toThrow("Line 1: “1A” is no name");
    expect(readPairs("a.b/c=x", { max })).toEqual({ "a.b/c": "x" });
  });
  it("has a size", () => {
    expect(() => readPairs(`A=${"é".repeat(2048)}`, { max })).toThrow("4,096 at most");
    expect(readPairs(`A=${"x".repeat(4092)}`, { max })).toBeDefined();
  });
  it("writes what it reads", () => {
    expect(writePairs(readPairs("A=1\nB=2", { max }))).toBe("A=1\nB=2");
    expect(writePairs(null)).toBe("");
  });
});

describe("patterns, exit codes, numbers", () => {
  it("reads patterns", () => {
    expect(readGlobs("dist/**\n\n *.log ")).toEqual(["dist/**", "*.log"]);
    expect(readGlobs("")).toBeUndefined();
    for (const bad of ["/etc/*", "a\n../b", "a\\b", "a/../b"]) expect(() => readGlobs(bad)).toThrow(/^Line \d: /);
    expect(readGlobs("a..b")).toEqual(["a..b"]);
    expect(() => readGlobs("x".repeat(5000))).toThrow("4,096");
  });
  it("reads exit codes", () => {
    expect(readExits("75, 137 75")).toEqual(["75", "137"]);
    expect(readExits("any")).toEqual(["any"]);
    expect(readExits(" ")).toBeUndefined();
    for (const bad of ["0", "256", "x", "-1", "1.5"]) expect(() => readExits(bad)).toThrow("no exit code");
  });
  it("reads numbers", () => {
    expect(readNumber(" +7 ", -10, 10)).toBe(7);
    expect(readNumber("-10", -10, 10)).toBe(-10);
    expect(readNumber("", 1, 2)).toBeUndefined();
    for (const bad of ["0", "3", "1.5", "1e3", "x", "0x1"]) expect(() => readNumber(bad, 1, 2)).toThrow("from 1 to 2");
  });
});

describe("spans", () => {
  it("reads times", () => {
    const read = (text: string) => readSpan(text, 0, 1e12, "30 days");
    expect(read("90")).toBe(90_000);
    expect(read("90 s")).toBe(90_000);
    expect(read("1h 30min")).toBe(5_400_000);
    expect(read("1.5 H")).toBe(5_400_000);
    expect(read("2d")).toBe(172_800_000);
    expect(read("250 ms")).toBe(250);
    expect(read("")).toBeUndefined();
    for (const bad of ["x", "5 parsecs", "-1 s", "1 h x", "min"]) expect(() => read(bad)).toThrow("A time such as");
  });
  it("has bounds", () => {
    expect(() => readSpan("0", 1, 10, "ten")).toThrow("Longer");
    expect(() => readSpan("31d", 1, 30 * 86_400_000, "30 days")).toThrow("30 days at most");
  });
  it("writes what it reads", () => {
    for (const ms of [0, 250, 90_000, 3_600_000, 5_400_000, 90_061_001]) expect(readSpan(writeSpan(ms), 0, 1e12, "")).toBe(ms);
    expect(writeSpan(null)).toBe("");
  });
});
