import { render } from "preact";
import { App } from "./app";
import { startTheme } from "./lib/theme";
import { startWatching } from "./lib/watch";
import { pressKey } from "./ui/commands";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/parts.css";

startTheme();
startWatching();
document.addEventListener("keydown", pressKey);
const root = document.getElementById("app");
if (root) render(<App />, root);
