SELECT $html$<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ecomsocial: a shop and a social product at a glance</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --page: #f4f6f8; --card: #fff; --shade: #0003; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #a3adb8; --line: #353b43; --page: #101317; --card: #1a1e23; --shade: #000; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem clamp(.6rem, 2vw, 2rem) 3rem; max-width: 1500px; background: var(--page); color: var(--ink); font: 16px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: .5rem 0 0; } h2 { font-size: 1.3rem; margin: 2rem 0 .8rem; } h3 { font-size: 1.05rem; margin: 0; }
p { margin: .1rem 0 0; color: var(--soft); } figcaption { margin-bottom: .6rem; } figcaption p { font-size: .9rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); grid-auto-flow: dense; gap: 1rem; align-items: start; }
figure { margin: 0; padding: 1rem; min-width: 0; background: var(--card); border: 1px solid var(--line); border-radius: 8px; break-inside: avoid; }
.broad { grid-column: 1 / -1; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1rem; margin: 0 0 1rem; break-inside: avoid; }
.tiles div { padding: .7rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
dt { color: var(--soft); font-size: .9rem; } dd { margin: 0; font-size: 1.6rem; font-weight: 650; line-height: 1.25; white-space: nowrap; } .note { white-space: normal; color: var(--soft); font-size: .8rem; font-weight: 400; }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 11px; fill: var(--soft); }
.y { text-anchor: end; } .x { text-anchor: middle; } .rule { stroke: var(--line); } .zero { stroke: var(--soft); }
polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: 0 0 .4rem; padding: 0; list-style: none; font-size: .9rem; }
.legend i { display: inline-block; width: .75em; height: .75em; margin-right: .4em; border-radius: 2px; }
/* a shadow at the edge tells that a table goes on beyond it */
.wide { overflow-x: auto; background: linear-gradient(to right, var(--card) 1rem, transparent 2rem) local, linear-gradient(to left, var(--card) 1rem, transparent 2rem) local,
  linear-gradient(to right, var(--shade), transparent .7rem), linear-gradient(to left, var(--shade), transparent .7rem); } table { border-collapse: collapse; font-size: .85rem; width: 100%; }
th, td { padding: .3rem .5rem; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; } tr:last-child > * { border-bottom: 0; }
th { font-weight: 400; } tr:first-child th { color: var(--soft); font-weight: 600; vertical-align: bottom; white-space: normal; }
.n { text-align: right; font-variant-numeric: tabular-nums; } .heat td, .heat tr:first-child th { text-align: center; } .heat td { border: 1px solid var(--card); }
details { margin-top: .4rem; font-size: .9rem; } summary { color: var(--soft); cursor: pointer; } details .wide { max-height: 20rem; overflow: auto; } details th { text-align: right; } details th:first-child { text-align: left; }
@media (max-width: 600px) { svg text { font-size: 17px; } figure { padding: .8rem; } figure > .wide > table:not(.heat) th[scope=row] { min-width: 7.5rem; white-space: normal; } }
@media print {
  @page { size: A4; margin: 12mm; }
  :root { color-scheme: light; --ink: #000; --soft: #444; --line: #bbb; --page: #fff; --card: #fff; --shade: transparent; }
  body { padding: 0; max-width: none; font-size: 9pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .grid { grid-template-columns: 1fr 1fr; gap: 3mm; } figure, .tiles div { padding: 2.5mm; } .tiles { gap: 3mm; grid-template-columns: repeat(6, 1fr); margin-bottom: 3mm; }
  dd { font-size: 13pt; } .note, dt, figcaption p, .legend { font-size: 8pt; } table { font-size: 7.5pt; } th, td { padding: .7mm 1mm; }
  .wide { overflow: visible; } figure > .wide > table:not(.heat) th[scope=row] { white-space: normal; } details { display: none; } svg text { font-size: 15px; } h2 { margin: 6mm 0 3mm; break-after: avoid; } .second { break-before: page; }
}
</style>$html$;
