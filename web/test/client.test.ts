import { afterEach, describe, expect, it, vi } from "vitest";
import { address, ApiError, connection, errorOf, get } from "../src/api/client";

afterEach(() => vi.unstubAllGlobals());

describe("calls", () => {
  it("are relative to the page and leave empty parameters out", () => {
    const base = document.createElement("base");
    base.href = "http://host/prefix/";
    document.head.append(base);
    expect(address("/api/jobs", { text: "a&b", state: "", limit: 5, cursor: null })).toBe("http://host/prefix/api/jobs?text=a%26b&limit=5");
    base.remove();
  });
  it("that are refused say the server's sentence, code and field", () => {
    const error = errorOf(409, '{"error":"No.","code":"OUTPUT_GAP","field":"offset","offset":12}');
    expect([error.message, error.code, error.status, error.field, error.offset]).toEqual(["No.", "OUTPUT_GAP", 409, "offset", 12]);
    expect(error.passes).toBe(false);
  });
  it("answered by something else than the gateway give a sentence of our own", () => {
    expect(errorOf(502, "<html>").message).toBe("The server answered 502.");
    expect(errorOf(502, "[]").passes).toBe(true);
  });
  it("tell whether broker and gateway are there", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("network")));
    await expect(get("api/info")).rejects.toBeInstanceOf(ApiError);
    expect(connection.value).toBe("gateway-away");
    vi.stubGlobal("fetch", () => Promise.resolve(new Response('{"error":"away"}', { status: 503 })));
    await expect(get("api/info")).rejects.toMatchObject({ message: "away", status: 503 });
    expect(connection.value).toBe("broker-away");
    vi.stubGlobal("fetch", () => Promise.resolve(new Response('{"version":"1"}')));
    await expect(get("api/info")).resolves.toEqual({ version: "1" });
    expect(connection.value).toBe("ok");
  });
});
