import { describe, expect, it } from "vitest";
import { fitting, stored } from "../src/lib/storage";

describe("what was kept", () => {
  it("counts only as far as it has the shape that is wanted", () => {
    expect(fitting("x", "auto")).toBe("x");
    expect(fitting(5, "auto")).toBe("auto");
    expect(fitting(null, [])).toEqual([]);
    expect(fitting({ 0: "a" }, ["b"])).toEqual(["b"]);
    expect(fitting({ a: 1, b: "x", c: 3 }, { a: "", b: "" })).toEqual({ a: "", b: "x" });
    expect(fitting([1], { a: "" })).toEqual({ a: "" });
    expect(fitting("text", null)).toBe(null);
    expect(fitting({ any: 1 }, null)).toEqual({ any: 1 });
  });
  it("is read again, without items that are none", () => {
    localStorage.setItem("gleaner.some", '["a", null, 5, "b"]');
    expect(stored<string[]>("some", [], (item) => typeof item === "string").value).toEqual(["a", "b"]);
    localStorage.setItem("gleaner.torn", "{");
    const torn = stored("torn", 7);
    expect(torn.value).toBe(7);
    torn.value = 8;
    expect(localStorage.getItem("gleaner.torn")).toBe("8");
  });
});
