// SPDX-License-Identifier: GPL-2.0-or-later
// Who has the memory: unit, program, segment, as rectangles of the size of what each has.

const COLOURS = 8;
const WIDTH_MIN = 320;
// What is smaller, in square pixels, is drawn together; and of many segments what would be more cells than so many.
const CELL_MIN = 18;
const CELLS_MAX = 5000;

// Tiles a rectangle with items of that value, largest first, as square as can be (Bruls, Huizing, van Wijk).
const squarify = (items, x, y, w, h, visit) => {
	let left = items.reduce((sum, item) => sum + item.value, 0);
	for (let i = 0; i < items.length && left > 0 && w > 0 && h > 0;) {
		const side = Math.min(w, h), scale = w * h / left;
		let sum = 0, worst = Infinity, end = i;
		for (; end < items.length; end++) {
			const more = sum + items[end].value, thick = more * scale / side;
			const ratio = size => Math.max(thick / (size * scale / thick), size * scale / thick / thick);
			const next = Math.max(ratio(items[i].value), ratio(items[end].value));
			if (next > worst)
				break;
			worst = next;
			sum = more;
		}
		const thick = sum * scale / side;
		let at = 0;
		for (; i < end; i++) {
			const length = items[i].value / sum * side;
			if (w >= h)
				visit(items[i], x, y + at, thick, length);
			else
				visit(items[i], x + at, y, length, thick);
			at += length;
		}
		if (w >= h) {
			x += thick;
			w -= thick;
		} else {
			y += thick;
			h -= thick;
		}
		left -= sum;
	}
};

// Where a segment belongs: [key of the group, its name, its class, key and name in it].
const groupOf = segment => {
	if (segment.state === 'idle')
		return ['idle', 'Idle: used by nothing', 'idle', familyOf(segment.name)];
	if (segment.seen === 0 && segment.users > 0)
		return ['hidden', 'Used by processes not shown to you', 'other', familyOf(segment.name)];
	if (segment.users === 0)
		return segment.state === 'held' ? ['held', 'Held where no process shows it', 'other', familyOf(segment.name)] :
			['unknown', 'Not known', 'other', familyOf(segment.name)];
	const program = segment.program ?? 'several programs';
	if (segment.unit === null)
		return ['several', 'Shared by several units', 'shared', program];
	return segment.unit === '-' ? ['p' + program, program, null, familyOf(segment.name)] :
		['u' + segment.unit, segment.unit, null, program];
};

class Treemap {
	constructor(element, legend, pick) {
		this.element = element;
		this.legend = legend;
		this.pick = pick;
		this.measure = 'memory';
		this.path = [];
		this.trail = make('p', { class: 'trail' });
		this.svg = draw('svg', { class: 'map', role: 'group', 'aria-label': 'Memory by unit, program and segment; ' +
			'arrow keys go from one to the next, Enter opens, Escape goes back' });
		element.append(this.trail, this.svg);
		this.svg.addEventListener('pointermove', event => this.#point(event));
		this.svg.addEventListener('pointerleave', () => hideTip());
		this.svg.addEventListener('click', event => this.#open(this.#nodeAt(event.target)));
		this.svg.addEventListener('keydown', event => this.#key(event));
		this.svg.addEventListener('focusin', event => this.#focus(event));
		this.svg.addEventListener('focusout', () => hideTip());
		this.grow();
		new ResizeObserver(() => {
			if (Math.abs(this.element.clientWidth - this.width) > 1)
				this.render();
		}).observe(element);
	}

	// The tree for the measure that is chosen: groups, parts, segments, the largest first.
	grow() {
		const groups = new Map();
		for (const segment of segments) {
			const value = segment[this.measure];
			if (!(value > 0))
				continue;
			const [key, name, kind, part] = groupOf(segment);
			if (!groups.has(key))
				groups.set(key, { name, kind, parts: new Map(), value: 0, n: 0 });
			const group = groups.get(key);
			if (!group.parts.has(part))
				group.parts.set(part, { name: part, kind, children: [], value: 0, n: 0 });
			const inner = group.parts.get(part);
			inner.children.push({ segment, name: segment.name, kind, value, n: 1 });
			for (const one of [group, inner]) {
				one.value += value;
				one.n++;
			}
		}
		const sorted = list => list.sort((a, b) => b.value - a.value);
		const top = sorted([...groups.values()]);
		let colour = 0;
		for (const group of top) {
			group.colour = group.kind ?? 'c' + (colour++ % COLOURS);
			group.children = sorted([...group.parts.values()]);
			for (const part of group.children) {
				part.colour = group.colour;
				sorted(part.children);
			}
			if (group.children.length === 1)
				group.children = group.children[0].children;
		}
		this.root = { name: 'All', children: top, value: total(top, 'value'), n: total(top, 'n') };
		this.path = [this.root];
		this.render();
	}

	#label(node) {
		return node.segment ? tellSegment(node.segment) :
			`${node.name}: ${bytes(node.value)}, ${several(node.n, 'segment')}`;
	}

	render() {
		const here = this.path.at(-1);
		this.width = Math.max(this.element.clientWidth, WIDTH_MIN);
		this.height = Math.round(Math.min(Math.max(this.width * 0.46, 320), 620));
		this.svg.setAttribute('viewBox', `0 0 ${this.width} ${this.height}`);
		this.least = here.n > CELLS_MAX ? this.width * this.height / CELLS_MAX : CELL_MIN;
		this.nodes = new Map();
		this.places = [];
		const pattern = draw('pattern', { id: 'hatch', width: 6, height: 6, patternUnits: 'userSpaceOnUse',
			patternTransform: 'rotate(45)' }, draw('rect', { width: 2, height: 6, class: 'hatch' }));
		this.svg.replaceChildren(draw('defs', {}, pattern));
		if (here.children.length === 0)
			this.svg.append(draw('text', { x: 12, y: 28, class: 'empty' }, 'No segment has any memory.'));
		this.#tile(here, 0, 0, this.width, this.height, here === this.root ? 0 : 1, this.svg, here.colour, true);
		this.places[0]?.element.setAttribute('tabindex', '0');
		this.#tellTrail();
		this.#tellLegend();
	}

	// What is too small to be seen is one cell at the end.
	#visible(children, area) {
		const sum = total(children, 'value'), last = children.findIndex(one => one.value / sum * area < this.least);
		if (last < 0 || children.length - last < 2)
			return children;
		const rest = children.slice(last), value = total(rest, 'value');
		const small = { name: several(total(rest, 'n'), 'small segment'), value, n: total(rest, 'n'), rest: true,
			kind: rest[0].kind, colour: rest[0].colour };
		return [...children.slice(0, last), small];
	}

	#tile(parent, x, y, w, h, depth, into, colour, top) {
		squarify(this.#visible(parent.children, w * h), x, y, w, h, (node, ...where) =>
			this.#box(node, ...where, depth, into, node.colour ?? colour, top));
	}

	#box(node, x, y, w, h, depth, into, colour, top) {
		const gap = depth === 0 ? 2 : depth === 1 ? 1 : 0.5, leaf = !node.children;
		const element = draw('g', { class: `${leaf ? 'leaf' : 'group'} ${colour}` });
		const [left, up, wide, high] = [x + gap / 2, y + gap / 2, Math.max(w - gap, 0.3), Math.max(h - gap, 0.3)];
		const rectangle = { x: left.toFixed(1), y: up.toFixed(1), width: wide.toFixed(1), height: high.toFixed(1) };
		element.append(draw('rect', { ...rectangle, class: node.rest ? 'cell rest' : leaf ? 'cell' : 'frame' }));
		if (node.segment?.kind === 'unlinked')
			element.append(draw('rect', { ...rectangle, fill: 'url(#hatch)' }));
		into.append(element);
		this.nodes.set(element, node);
		if (top) {
			this.places.push({ element, node, x: x + w / 2, y: y + h / 2 });
			element.setAttribute('role', 'button');
			element.setAttribute('tabindex', '-1');
			element.setAttribute('aria-label', this.#label(node));
		}
		if (leaf) {
			if (wide > 46 && high > 18)
				this.#write(element, node, left + 5, up + 13, wide - 8, high > 32);
			return;
		}
		const head = wide > 40 && high > 34 ? depth === 0 ? 20 : 16 : 0;
		if (head > 0)
			this.#write(element, node, left + 5, up + head - 6, wide - 8, false, bytes(node.value));
		this.#tile(node, left + 1, up + head + (head ? 0 : 1), wide - 2, high - head - (head ? 1 : 2), depth + 1, element,
			colour, false);
	}

	// As much of the name as fits, and the size beside or below it.
	#write(element, node, x, y, width, below, beside) {
		const fits = Math.floor(width / (beside ? 7.6 : 7));
		const short = text => text.length <= fits ? text : fits > 3 ? text.slice(0, fits - 1) + '…' : '';
		const name = beside && node.name.length + beside.length + 2 <= fits ? `${node.name}  ${beside}` : node.name;
		element.append(draw('text', { x: x.toFixed(1), y: y.toFixed(1), class: beside ? 'title' : 'name' }, short(name)));
		const size = bytes(node.value);
		if (below && size.length <= fits) // a part of a number would be another number
			element.append(draw('text', { x: x.toFixed(1), y: (y + 14).toFixed(1), class: 'size' }, size));
	}

	#nodeAt(target) {
		for (let element = target.closest?.('g'); element; element = element.parentNode.closest?.('g'))
			if (this.nodes.has(element))
				return this.nodes.get(element);
		return null;
	}

	#point(event) {
		const node = this.#nodeAt(event.target);
		if (node)
			showTip(this.#label(node), event.clientX, event.clientY);
		else
			hideTip();
	}

	#focus(event) {
		const node = this.#nodeAt(event.target), box = event.target.getBoundingClientRect();
		if (node && event.target.matches(':focus-visible'))
			showTip(this.#label(node), box.left + box.width / 2, box.top + Math.min(box.height, 60) / 2);
	}

	// The group below the present one in which the node is; a segment that stands here itself is picked.
	#open(node) {
		if (!node || node.rest)
			return;
		hideTip();
		if (node.segment) {
			this.pick(node.segment);
			return;
		}
		this.path.push(node);
		this.render();
		this.places[0]?.element.focus({ preventScroll: true });
	}

	back(level) {
		this.path.length = level + 1;
		this.render();
	}

	#key(event) {
		const at = this.places.findIndex(one => one.element === event.target);
		const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
		if (event.key === 'Escape' && this.path.length > 1) {
			this.back(this.path.length - 2);
			this.places[0]?.element.focus({ preventScroll: true });
		} else if ((event.key === 'Enter' || event.key === ' ') && at >= 0) {
			this.#open(this.places[at].node);
		} else if (event.key in steps && at >= 0) {
			this.#go(this.places[at], ...steps[event.key]);
		} else {
			return;
		}
		event.preventDefault();
	}

	// To the nearest one in that direction.
	#go(from, dx, dy) {
		let best = null, least = Infinity;
		for (const one of this.places) {
			const along = (one.x - from.x) * dx + (one.y - from.y) * dy;
			const aside = Math.abs((one.x - from.x) * dy) + Math.abs((one.y - from.y) * dx);
			if (along > 1 && along + 2 * aside < least) {
				least = along + 2 * aside;
				best = one;
			}
		}
		if (!best)
			return;
		from.element.setAttribute('tabindex', '-1');
		best.element.setAttribute('tabindex', '0');
		best.element.focus();
	}

	#tellTrail() {
		const last = this.path.length - 1;
		this.trail.hidden = last === 0;
		this.trail.replaceChildren(...this.path.flatMap((node, level) => [level > 0 ? ' › ' : '',
			level < last ? make('button', { type: 'button', onclick: () => this.back(level) }, bdi(node.name)) :
				make('strong', null, bdi(node.name), ` ${bytes(node.value)}`)]));
	}

	#tellLegend() {
		const kinds = new Set(this.root.children.map(group => group.kind));
		const keys = [];
		if (kinds.has(null))
			keys.push(make('span', { class: 'key' }, ...[0, 1, 2, 3].map(i => make('span', { class: `swatch c${i}` })),
				'in use, by unit or program'));
		if (kinds.has('shared'))
			keys.push(key('shared', 'shared by several units'));
		if (kinds.has('idle'))
			keys.push(key('idle', 'idle: used by nothing'));
		if (kinds.has('other'))
			keys.push(key('other', 'user not shown or not known'));
		if (segments.some(segment => segment.kind === 'unlinked'))
			keys.push(key('unlinked', 'unlinked: has no name any more'));
		this.legend.replaceChildren(...keys);
	}
}
