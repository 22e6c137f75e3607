(async () => {
  const out = document.createElement("pre");
  out.id = "result";
  document.body.append(out);
  const viewer = document.querySelector(".compare");
  const [left, right, part] = viewer.querySelectorAll("select");
  const line = viewer.querySelector("input[type=range]");
  const stage = viewer.querySelector(".stage");
  const [below, above] = stage.querySelectorAll("img");
  const sources = [...viewer.querySelectorAll("figure")];
  const named = (image) => {
    const found = sources.find((figure) => figure.querySelector("img").src === image.src).dataset;
    return `${found.codec}.${found.part}`;
  };
  const say = (what) => {
    const style = `${above.style.clipPath} ${above.style.mixBlendMode} ${stage.style.filter}`;
    out.textContent += `${what} ${named(below)} ${named(above)} ${style} ${viewer.querySelector("button").textContent}\n`;
  };
  const press = (key) => viewer.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const choose = (input, value) => {
    input.value = value;
    input.dispatchEvent(new Event("input"));
  };
  say("start");
  choose(line, 20);
  say("line");
  press("ArrowRight");
  say("right");
  choose(left, 1);
  choose(right, 2);
  choose(part, 2);
  say("chosen");
  press("d");
  say("difference");
  press(" ");
  say("flicker");
  const hidden = new Set();
  for (let i = 0; i < 8; i++) {
    await new Promise((done) => setTimeout(done, 250));
    hidden.add(above.style.visibility);
  }
  out.textContent += `seen ${[...hidden].sort().join(" ")}\n`;
  press(" ");
  say("steady");
  const [first, second] = ["JPEG", "bytes"].map((word) => viewer.querySelector("output").value.includes(word));
  out.textContent += `caption ${first} ${second}\n`;
})();
