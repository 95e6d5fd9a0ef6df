// A client of lab.v1: it keeps its position, repeats what was not confirmed, and tells of gaps.
const TOPIC = "room:" + (new URLSearchParams(location.search).get("room") || "lobby");
const BEFORE_STOP = 4500; // from here on, and with 1002 to 1008 but 1005 and 1006, a code means stop
const element = (id) => document.getElementById(id);
const state = (text) => { element("state").textContent = text; };
const users = new Set();
const unsent = new Map(); // id: what waits for its `ok`
let me, socket, notes, position, notesPosition, attempts = 0, asked_ms;

function line(list, text, kind) {
  const item = document.createElement("li");
  item.textContent = text; // never as HTML
  if (kind) item.className = kind;
  element(list).append(item);
  return item;
}

function show_users() {
  element("users").textContent = [...users].sort().join(", ") || "nobody yet";
}

const heard = {
  ok(message) {
    if (message.ref === "subscribe") {
      if (message.gap) line("messages", `messages are missing here: ${message.gap}`, "gap");
      if (!position || message.gap) position = message.at;
      for (const waiting of unsent.values()) socket.send(JSON.stringify(waiting.message));
    }
    unsent.get(message.ref)?.item.remove();
    unsent.delete(message.ref);
  },
  event(message) {
    position = message.at;
    line("messages", `${message.data.user}: ${message.data.text}`);
  },
  gap(message) {
    position = message.at;
    line("messages", "messages may be missing here: the broker was lost", "gap");
  },
  error(message) {
    if (message.ref === "subscribe") { socket.close(); return; } // and come back for it
    const waiting = unsent.get(message.ref);
    if (message.code === "unavailable" || !waiting) return; // it is sent again, later
    waiting.item.textContent += ` (${message.detail})`;
    unsent.delete(message.ref);
  },
  ping() { socket.send('{"type":"pong"}'); },
  shutdown(message) { asked_ms = message.retry_ms; },
  presence_state(message) {
    users.clear();
    Object.keys(message.users).forEach((user) => users.add(user));
    show_users();
  },
  presence_diff(message) {
    (message.joined || []).forEach((user) => users.add(user));
    (message.left || []).forEach((user) => users.delete(user));
    show_users();
  },
};

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`, "lab.v1");
  socket.onopen = () => {
    state(`connected as ${me}`);
    socket.send(JSON.stringify({ type: "subscribe", id: "subscribe", topic: TOPIC, after: position }));
  };
  socket.onmessage = ({ data }) => {
    attempts = 0;
    const message = JSON.parse(data);
    heard[message.type]?.(message);
  };
  socket.onclose = ({ code, reason }) => {
    if (code >= BEFORE_STOP || code === 1008) {
      notes?.close();
      element("login").hidden = false;
      state(`signed out: ${reason || code}`);
      return;
    }
    const wait_ms = asked_ms ?? Math.random() * Math.min(20_000, 1000 * 2 ** attempts++);
    asked_ms = undefined;
    state(`not connected (${code}): coming back`);
    setTimeout(connect, wait_ms);
  };
}

function listen() {
  const after = notesPosition ? `&after=${encodeURIComponent(notesPosition)}` : "";
  notes = new EventSource(`/events?topic=user:${encodeURIComponent(me)}${after}`);
  notes.onmessage = ({ data, lastEventId }) => {
    notesPosition = lastEventId;
    const { data: note } = JSON.parse(data);
    line("notes", `${note.user}: ${note.text}`);
  };
  notes.addEventListener("gap", ({ lastEventId }) => {
    notesPosition = lastEventId;
    line("notes", "notes may be missing here", "gap");
  });
  notes.onerror = () => { // a browser comes back after an end, but not after an error
    if (notes.readyState === EventSource.CLOSED && element("login").hidden) {
      setTimeout(listen, 1000 + Math.random() * 4000);
    }
  };
}

element("login").onsubmit = async (event) => {
  event.preventDefault();
  me = element("user").value;
  const headers = { "content-type": "application/json" };
  const answer = await fetch("/login", { method: "POST", headers, body: JSON.stringify({ user: me }) });
  if (!answer.ok) { state(`not signed in: ${answer.status}`); return; }
  element("login").hidden = true;
  element("room").hidden = false;
  connect();
  listen();
};

element("say").onsubmit = (event) => {
  event.preventDefault();
  const message = { type: "publish", id: crypto.randomUUID(), topic: TOPIC, data: element("text").value };
  unsent.set(message.id, { message, item: line("messages", `${me}: ${message.data}`, "waiting") });
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  element("text").value = "";
};
