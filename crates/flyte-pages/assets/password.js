// Lets people see the password that they type. Without this script, the pages ask for it twice.
"use strict";
for (const input of document.querySelectorAll("input[data-reveal]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "reveal";
  button.setAttribute("aria-controls", input.id);
  const show = (shown) => {
    input.type = shown ? "text" : "password";
    button.textContent = shown ? "Hide password" : "Show password";
  };
  show(false);
  button.addEventListener("click", () => show(input.type === "password"));
  // Otherwise the browser would remember the text like any other.
  input.form.addEventListener("submit", () => show(false));
  input.after(button);
}
