// Keeps a record or a name to its own place on the page.
// In: what Argilla hands to innerHTML, to its sanitizer and to srcdoc, the only ways it makes HTML
// of a text. Out: the same, where what acts beyond its place is shown as text or cut off.
// The policy stops scripts and what they fetch; it does not stop a <meta> that leads to another
// site, a <link> that connects to one, nor a <style> that hides the buttons. An <iframe> could
// carry any of them, encoded once more. A <form> connects before the policy refuses it, a <button>
// submits the form it stands in, which may be the answer's, and a <label> chooses an answer.
(() => {
  const BEYOND = "meta,base,link,style,iframe,form,button,label,input:not([type=checkbox][disabled])";
  // An id takes an answer's label for itself, a name stands before what the document can do (as in
  // <img name=createElement>), and a popover, which a link opens, lies above the whole page.
  const REACHING = ["id", "name", "popover"];
  // A tag or a comment begins right behind the bracket; without one it is only text.
  const MARKED = /<[a-z/!?]/i;
  // Without scripts a frame is not refreshed and sends no form, and styles stay in it.
  const IN_FRAME = /<(?=(?:link|iframe)\b)/gi;
  const HELD = "data-errata-held";

  // What somebody wrote is to be read. The sanitizer also drops the whole paragraph around a comment
  // in which it finds a tag.
  function showComments(root) {
    const comments = document.createNodeIterator(root, NodeFilter.SHOW_COMMENT);
    for (let found = comments.nextNode(); found; found = comments.nextNode()) {
      found.replaceWith(`<!--${found.data}-->`);
    }
  }

  const html = Object.getOwnPropertyDescriptor(Element.prototype, "innerHTML");
  Object.defineProperty(Element.prototype, "innerHTML", {
    ...html,
    set(value) {
      const text = value === null ? "" : String(value);
      const held = MARKED.test(text);
      // Of drawings Argilla makes only its own icons, and a template is not on the page.
      const shown = this instanceof HTMLElement && !(this instanceof HTMLTemplateElement);
      if (shown) this.toggleAttribute(HELD, held);
      if (!shown || !held) return html.set.call(this, text);
      // Changed as elements and not as a string: the sanitizer read this string, and another string
      // could be read otherwise. What is apart from the page has no effect on it yet.
      const apart = this.ownerDocument.createElementNS(this.namespaceURI, this.localName);
      html.set.call(apart, text);
      for (const found of apart.querySelectorAll(BEYOND)) found.replaceWith(found.outerHTML);
      for (const found of apart.querySelectorAll(REACHING.map((name) => `[${name}]`).join())) {
        for (const name of REACHING) found.removeAttribute(name);
      }
      showComments(apart);
      this.replaceChildren(...apart.childNodes);
    },
  });

  const { parseFromString } = DOMParser.prototype;
  DOMParser.prototype.parseFromString = function (...given) {
    const parsed = parseFromString.apply(this, given);
    // Before anything is judged, so that nothing slips in behind the sanitizer.
    if (parsed.body) showComments(parsed.body);
    return parsed;
  };

  const { setAttribute } = Element.prototype;
  HTMLIFrameElement.prototype.setAttribute = function (name, value) {
    if (String(name).toLowerCase() !== "srcdoc") return setAttribute.call(this, name, value);
    // Argilla measures the height of what is in the frame, so it has to be of the same origin.
    setAttribute.call(this, "sandbox", "allow-same-origin");
    setAttribute.call(this, name, String(value).replace(IN_FRAME, "&lt;"));
  };

  // What a style attribute places anywhere on the screen stays within its own field, title or name.
  // A field is as long as its text; a name is not to push the buttons away.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    [${HELD}] {
      contain: layout paint; overflow: auto; overflow-wrap: anywhere;
      max-height: 50vh; max-width: 100%;
    }
    span[${HELD}] { display: inline-block; }
    .markdown-render, .content-area > .--ltr, .content-area > .--rtl, .chat__bubble > span {
      display: block; contain: layout paint; overflow: auto; max-height: none;
    }
  `);
  document.adoptedStyleSheets = [sheet];
})();
