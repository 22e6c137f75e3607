// All clips of a row show the same frame: the first one leads, the others follow.
for (const row of document.querySelectorAll(".clips")) {
  const videos = [...row.querySelectorAll("video")];
  const slider = row.querySelector("input[type=range]");
  const button = row.querySelector("button");
  const shown = row.querySelector("output");
  const rate = Number(row.dataset.rate);
  const last = Number(row.dataset.frames) - 1;
  const lead = videos[0];
  let frame = 0;
  const show = (wanted) => {
    frame = Math.max(0, Math.min(last, Math.round(wanted)));
    slider.value = frame;
    shown.value = `${frame + 1} of ${last + 1}`;
  };
  const seek = (wanted) => {
    show(wanted);
    for (const video of videos) video.currentTime = (frame + 0.5) / rate;
  };
  const pause = () => {
    for (const video of videos) video.pause();
    button.textContent = "play";
    seek(frame);
  };
  const play = () => {
    if (frame === last) seek(0);
    for (const video of videos) video.play().catch(() => {});
    button.textContent = "pause";
    const follow = () => {
      if (lead.paused) return;
      show(lead.currentTime * rate - 0.5);
      for (const video of videos.slice(1)) {
        if (Math.abs(video.currentTime - lead.currentTime) > 0.5 / rate) video.currentTime = lead.currentTime;
      }
      if (frame >= last) return pause();
      requestAnimationFrame(follow);
    };
    requestAnimationFrame(follow);
  };
  const toggle = () => (button.textContent === "play" ? play() : pause());
  button.addEventListener("click", toggle);
  slider.addEventListener("input", () => {
    const wanted = Number(slider.value);
    if (button.textContent !== "play") pause();
    seek(wanted);
  });
  row.addEventListener("keydown", (event) => {
    const keys = {
      " ": toggle,
      ArrowLeft: () => { pause(); seek(frame - 1); },
      ArrowRight: () => { pause(); seek(frame + 1); },
      Home: () => { pause(); seek(0); },
      End: () => { pause(); seek(last); },
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  lead.addEventListener("loadedmetadata", () => seek(0));
  show(0);
}
