const at = (id) => document.getElementById(id);
const [grid, detail, stage, uploads] = ["grid", "detail", "stage", "uploads"].map(at);

let items = [];

// What to say where an answer does not, such as that of a proxy.
const WORDS = {
  0: "the connection was lost",
  400: "the server did not understand the upload",
  403: "that is not allowed",
  413: "it is too large for this gallery",
  415: "only JPEG, PNG, GIF, WebP, AVIF, MP4, MOV, 3GP and WebM are shown here",
  503: "the server has too much to do; try again in a moment",
  507: "the gallery is full: delete something first",
};

const made = (name, properties = {}) => Object.assign(document.createElement(name), properties);
const address = (item) => `media/${item.name}`;
const moment = (item) => new Date(item.added_ms).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

const day = (item) => new Date(item.added_ms).toLocaleDateString([], { dateStyle: "medium" });

function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  let unit = 0;
  for (; bytes >= 1000 && unit < units.length - 1; unit += 1) bytes /= 1000;
  return `${unit && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

// The grid.

function card(item) {
  const link = made("a", { href: `#${item.name}`, className: item.kind });
  link.setAttribute("aria-label", `${item.kind === "film" ? "Film" : "Picture"} of ${moment(item)}`);
  link.append(
    item.kind === "film"
      // The fragment has the browser show a frame, for which it fetches as little as it can.
      ? made("video", { src: `${address(item)}#t=0.1`, preload: "metadata", muted: true, playsInline: true, tabIndex: -1 })
      : made("img", { src: address(item), alt: "", loading: "lazy", decoding: "async" }),
    made("time", { dateTime: new Date(item.added_ms).toISOString(), textContent: day(item) }),
  );
  const place = made("li");
  place.dataset.name = item.name;
  place.append(link);
  return place;
}

async function refresh() {
  const answer = await fetch("api/media");
  if (!answer.ok) throw new Error(WORDS[answer.status] ?? `status ${answer.status}`);
  const found = await answer.json();
  items = found.items;
  // Those that are shown already stay: they would be loaded once more.
  const shown = new Map(Array.from(grid.children, (place) => [place.dataset.name, place]));
  grid.replaceChildren(...items.map((item) => shown.get(item.name) ?? card(item)));
  const bytes = items.reduce((sum, item) => sum + item.bytes, 0);
  at("summary").textContent = items.length
    ? `${items.length} ${items.length === 1 ? "file" : "files"}, ${size(bytes)} of ${size(found.bytes_max)}`
    : "";
  at("empty").hidden = items.length > 0;
  show();
}

function refreshed() {
  return refresh().catch((error) => { at("summary").textContent = `Not up to date: ${error.message}`; });
}

// One of them, as the fragment of the address says.

function show() {
  const index = items.findIndex((item) => `#${item.name}` === location.hash);
  const item = items[index];
  if (!item) {
    if (detail.open) detail.close();
    // What still plays, or is fetched, ends.
    stage.replaceChildren();
    return;
  }
  if (stage.dataset.name !== item.name || !stage.firstChild) {
    stage.dataset.name = item.name;
    stage.replaceChildren(
      item.kind === "film"
        ? made("video", { src: address(item), controls: true, playsInline: true, preload: "metadata", onerror: refused })
        : made("img", { src: address(item), alt: `Picture of ${moment(item)}`, onerror: refused }),
    );
    delete stage.dataset.refused;
  }
  // Of a type that is known, and encoded in a way that is not.
  const note = "refused" in stage.dataset ? " · this browser cannot show it, download it instead" : "";
  at("about").textContent = `${moment(item)} · ${size(item.bytes)}${note}`;
  at("download").href = address(item);
  at("previous").disabled = index === 0;
  at("next").disabled = index === items.length - 1;
  if (!detail.open) detail.showModal();
}

function refused(event) {
  // Not one that was left meanwhile.
  if (event.target.parentNode !== stage) return;
  stage.dataset.refused = "";
  show();
}

function step(by) {
  const index = items.findIndex((item) => `#${item.name}` === location.hash);
  const item = items[index + by];
  // Not a page of its own for "back".
  if (index >= 0 && item) location.replace(`#${item.name}`);
}

at("previous").onclick = () => step(-1);
at("next").onclick = () => step(1);
at("close").onclick = () => detail.close();
detail.onclose = () => { if (location.hash) history.replaceState(null, "", location.pathname); show(); };
detail.onkeydown = (event) => {
  // A film has the arrows for itself.
  if (event.target.tagName === "VIDEO") return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
};
at("delete").onclick = async () => {
  if (!confirm("Delete this for everybody?")) return;
  const answer = await fetch(`api/media/${stage.dataset.name}`, { method: "DELETE" }).catch(() => null);
  // Somebody else may have deleted it before.
  if (answer?.ok || answer?.status === 404) await refreshed();
  else at("about").textContent = `Not deleted: ${WORDS[answer?.status ?? 0] ?? `status ${answer.status}`}`;
};

// Uploads, one after the other: each has its own progress, and what is refused stops no other one.

let last = Promise.resolve();

function add(files) {
  for (const file of files) {
    const row = made("li");
    const share = made("span", { className: "share", textContent: "waiting" });
    const bar = made("progress", { max: 1, value: 0 });
    const cancel = made("button", { textContent: "✕", ariaLabel: `Cancel ${file.name}` });
    // As text, never as HTML: a name of a file is what somebody has chosen.
    row.append(made("span", { className: "name", textContent: file.name }), share, cancel, bar);
    uploads.append(row);
    const request = new XMLHttpRequest();
    const started = { isGone: false };
    cancel.onclick = () => {
      started.isGone = true;
      request.abort();
      row.remove();
    };
    last = last.then(() => started.isGone || send(request, file, row, share, bar)).then(refreshed);
  }
}

function send(request, file, row, share, bar) {
  return new Promise((resolve) => {
    const form = new FormData();
    form.append("file", file);
    request.upload.onprogress = (event) => {
      bar.value = event.total ? event.loaded / event.total : 1;
      // All is sent, and the server has not answered yet.
      share.textContent = bar.value < 1 ? `${Math.floor(bar.value * 100)} %` : "finishing";
    };
    request.onload = () => {
      if (request.status === 201) {
        bar.value = 1;
        share.textContent = "100 %";
        row.className = "done";
        setTimeout(() => row.remove(), 4000);
      } else {
        fail(row, share, words(request));
      }
    };
    request.onerror = () => fail(row, share, WORDS[0]);
    request.onloadend = resolve;
    request.open("POST", "api/media");
    request.send(form);
  });
}

function words(request) {
  try {
    const { error } = JSON.parse(request.responseText);
    // The server's own words for what it refuses by itself are short.
    if (typeof error === "string" && !["payload too large", "bad request"].includes(error)) return error;
  } catch { /* no JSON */ }
  return WORDS[request.status] ?? `the server answered ${request.status}`;
}

function fail(row, share, why) {
  row.className = "failed";
  share.textContent = "not added";
  const note = made("p", { className: "note", textContent: why.charAt(0).toUpperCase() + why.slice(1) + "." });
  note.setAttribute("role", "alert");
  row.append(note);
}

at("files").onchange = (event) => {
  add(event.target.files);
  // The same file may be chosen again.
  event.target.value = "";
};
document.querySelector("header .button").onkeydown = (event) => {
  if (event.key === "Enter" || event.key === " ") at("files").click();
};

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dragging");
});
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dragging"); });
addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.remove("dragging");
  add(event.dataTransfer.files);
});

addEventListener("hashchange", show);
// What others have added or deleted meanwhile.
addEventListener("focus", refreshed);
refreshed();
