SELECT $html$<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ecomsocial: a shop and a social product at a glance</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #6a737d; --line: #d8dee4; --page: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa4af; --line: #353b43; --page: #14171b; } }
body { margin: 0 auto; padding: 1rem; max-width: 1500px; background: var(--page); color: var(--ink); font: 16px/1.45 system-ui, sans-serif; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 32rem), 1fr)); gap: 1.5rem 2.5rem; }
h1 { font-size: 1.5rem; margin: .3rem 0; } h2 { font-size: 1.1rem; margin: .8rem 0 0; }
p { margin: .2rem 0 .5rem; color: var(--soft); } section { min-width: 0; break-inside: avoid; }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 11px; fill: var(--soft); }
.y { text-anchor: end; } .x { text-anchor: start; } .grid { stroke: var(--line); } .zero { stroke: var(--soft); }
polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.legend span { margin-right: 1rem; white-space: nowrap; } .legend i { display: inline-block; width: .7em; height: .7em; margin-right: .35em; border-radius: 2px; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; width: 100%; }
th, td { padding: .25rem .5rem; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line); } th { color: var(--soft); font-weight: 600; }
.n { text-align: right; font-variant-numeric: tabular-nums; } .heat td { text-align: center; border: 0; padding: .2rem .3rem; }
@media (max-width: 600px) { svg text { font-size: 19px; } }
@media print { body { font-size: 11px; max-width: none; } main { grid-template-columns: 1fr 1fr; gap: .6rem 1.2rem; } }
</style>$html$;
