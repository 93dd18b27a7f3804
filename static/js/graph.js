// A picture that is larger than its frame opens where something is to be seen.

for (const frame of document.querySelectorAll(".graph-scroll")) {
  const box = frame.querySelector(".graph-box-focus rect") || frame.querySelector(".graph-box rect");
  if (!box) continue;
  const picture = frame.querySelector("svg").getBoundingClientRect();
  const at = box.getBoundingClientRect();
  frame.scrollLeft = at.left - picture.left - frame.clientWidth / 2 + at.width / 2;
  frame.scrollTop = at.top - picture.top - frame.clientHeight / 2 + at.height / 2;
}
