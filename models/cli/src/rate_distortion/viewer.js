// Two pictures lie over each other: a line between them, or one after the other, or their difference.
for (const viewer of document.querySelectorAll(".compare")) {
  const [left, right, part] = viewer.querySelectorAll("select");
  const line = viewer.querySelector("input[type=range]");
  const difference = viewer.querySelector("input[type=checkbox]");
  const flicker = viewer.querySelector("button");
  const stage = viewer.querySelector(".stage");
  const [below, above] = stage.querySelectorAll("img");
  const shown = viewer.querySelector("output");
  const figure = (choice) =>
    viewer.querySelector(`figure[data-codec="${choice.value}"][data-part="${part.value}"]`);
  let timer = null;
  const show = () => {
    const pair = [figure(left), figure(right)];
    const whole = difference.checked || timer !== null;
    [below.src, above.src] = pair.map((one) => one.querySelector("img").src);
    above.style.clipPath = whole ? "none" : `inset(0 0 0 ${line.value}%)`;
    above.style.mixBlendMode = difference.checked ? "difference" : "normal";
    stage.style.filter = difference.checked ? "brightness(4)" : "none";
    shown.value = pair.map((one) => one.textContent).join(" | ");
  };
  const steady = () => {
    clearInterval(timer);
    timer = null;
    above.style.visibility = "visible";
    flicker.textContent = "flicker";
  };
  const toggle = () => {
    if (timer === null) {
      difference.checked = false;
      timer = setInterval(() => {
        above.style.visibility = above.style.visibility === "hidden" ? "visible" : "hidden";
      }, 500);
      flicker.textContent = "stop";
    } else {
      steady();
    }
    show();
  };
  const differ = () => {
    steady();
    show();
  };
  const move = (value) => {
    line.value = value;
    show();
  };
  for (const input of [left, right, part, line]) input.addEventListener("input", show);
  difference.addEventListener("input", differ);
  flicker.addEventListener("click", toggle);
  stage.addEventListener("pointermove", (event) => {
    const box = stage.getBoundingClientRect();
    if (event.buttons > 0) move((100 * (event.clientX - box.left)) / box.width);
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.target !== viewer) return;
    const keys = {
      " ": toggle,
      ArrowLeft: () => move(Number(line.value) - 5),
      ArrowRight: () => move(Number(line.value) + 5),
      d: () => {
        difference.checked = !difference.checked;
        differ();
      },
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  viewer.classList.add("ready");
  show();
}
