(async () => {
  const out = document.createElement("pre");
  out.id = "result";
  document.body.append(out);
  const row = document.querySelector(".clips");
  const videos = [...row.querySelectorAll("video")];
  const slider = row.querySelector("input");
  const button = row.querySelector("button");
  const loaded = (video) => video.readyState >= 2 || new Promise((done) => video.addEventListener("loadeddata", done));
  await Promise.all(videos.map(loaded));
  const say = async (what) => {
    await new Promise((done) => setTimeout(done, 400));
    const times = videos.map((video) => video.currentTime.toFixed(3)).join(" ");
    out.textContent += `${what} ${times} ${row.querySelector("output").value} ${button.textContent}\n`;
  };
  const press = (key) => row.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  slider.value = 3;
  slider.dispatchEvent(new Event("input"));
  await say("slider");
  for (const [key, name] of [["ArrowRight", "right"], ["End", "end"], ["ArrowRight", "beyond"], ["Home", "home"]]) {
    press(key);
    await say(name);
  }
  press(" ");
  out.textContent += `space ${button.textContent}\n`;
})();
