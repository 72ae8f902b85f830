"""The report: one page, of run folders and comparisons, that opens from the file system.

| module | holds |
| --- | --- |
| `writing` | `write_report`: from folders to the page |
| `reading` | folders as exhibits: their tables, and their runs put together by what they are runs of |
| `lines` | learning curves and diagnostics, as the page draws them |
| `graphs` | who talked to whom, computed anew from the experiment's topology; the certificate |
| `agents` | what is known of single agents: disagreement, traffic, diagnostics |
| `tables` | tables of results, of bytes by purpose, of versions |
| `page` | the page itself: `page.html`, `page.css`, `page.js` filled in |

All but the last give plain data and know nothing of HTML.  No code that a folder names is run but what
`netac.experiment.trust` lets through.
"""
