"""What a hostile record, a curious colleague or a stranger on the network could use, closed.

In: Argilla's application. Out: the same application, in which

* `pages`     no script of a record or a name runs in a page, and (`inert.js`) no tag of it leads
              elsewhere, covers the page or takes the place of its buttons,
* `edge`      every response carries the headers that say so, and ranges are not served,
* `logins`    passwords cannot be tried at will,
* `answers`   nobody writes, rewrites or deletes an answer in another person's name,
* `sight`     an annotator sees only their own answers and no hidden metadata; API keys are shown
              to nobody but their owner; the API's description is shown to nobody unknown.
"""
