import { render } from "preact";
import { startSession } from "./api/session";
import { App } from "./app";
import { startTheme } from "./lib/theme";
import { startWatching } from "./lib/watch";
import { pressKey } from "./ui/commands";
import { toast } from "./ui/toast";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/parts.css";

startTheme();
startSession();
startWatching((text) => toast(text, "done", true));
document.addEventListener("keydown", pressKey);
const root = document.getElementById("app");
if (root) render(<App />, root);
