// SPDX-License-Identifier: GPL-2.0-or-later
// Makes elements. Text goes in as text nodes alone, so that no name is ever markup.

const SVG = 'http://www.w3.org/2000/svg';

const fill = (element, children) => {
	for (const child of children.flat(Infinity))
		if (child !== null && child !== undefined)
			element.append(child);
	return element;
};

const make = (tag, attributes, ...children) => {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes ?? {}))
		if (name.startsWith('on'))
			element.addEventListener(name.slice(2), value);
		else if (value !== null && value !== false)
			element.setAttribute(name, value === true ? '' : value);
	return fill(element, children);
};

const draw = (tag, attributes, ...children) => {
	const element = document.createElementNS(SVG, tag);
	for (const [name, value] of Object.entries(attributes))
		element.setAttribute(name, value);
	return fill(element, children);
};

// A name from outside: its direction is its own, and does not turn what stands around it.
const bdi = (text, attributes) => make('bdi', attributes, text);

const place = (id, ...children) => fill(document.getElementById(id), children);

// A bar of parts: [class, bytes, label], of `whole` bytes in all.
const bar = (parts, whole, label) => {
	const element = make('div', { class: 'bar', role: 'img', 'aria-label': label });
	for (const [name, size, title] of parts) {
		if (!(size > 0))
			continue;
		const part = make('span', { class: name, title: `${title}: ${bytes(size)}` });
		part.style.width = 100 * size / whole + '%';
		element.append(part);
	}
	return element;
};

const key = (name, ...label) => make('span', { class: 'key' }, make('span', { class: `swatch ${name}` }), ...label);

// Compares as people expect: numbers by size, text by letters, what is not known last.
const compare = (a, b) => {
	if (a === b)
		return 0;
	if (a === null || a === '' || b === null || b === '')
		return a === null || a === '' ? 1 : -1;
	return typeof a === 'number' ? a - b : a < b ? -1 : 1;
};

/*
 * A table that is sorted by its headers. columns: { name, label, value(row), show(row), number, title(row), first:
 * 'descending' }; options: caption, sort (a name), rows at first, detail(row): what a row opens, or null.
 */
class Table {
	constructor(columns, rows, options) {
		this.columns = columns;
		this.options = options;
		this.shown = options.first;
		this.opened = new Set();
		this.body = make('tbody');
		this.heads = columns.map((column, i) => this.#head(column, i));
		this.more = make('p', { class: 'more' });
		this.element = make('div', { class: 'table' },
			make('div', { class: 'scroll' }, make('table', null,
				make('caption', null, options.caption),
				make('thead', null, make('tr', null, this.heads)), this.body)),
			this.more);
		this.by = columns.findIndex(column => column.name === options.sort);
		this.down = columns[this.by].first === 'descending';
		this.set(rows);
	}

	#head(column, index) {
		return make('th', { scope: 'col', class: column.number ? 'number' : null },
			make('button', { type: 'button', title: column.help ?? null, onclick: () => this.sort(index) },
				make('span', { class: 'label' }, column.label)));
	}

	sort(index) {
		this.down = index === this.by ? !this.down : this.columns[index].first === 'descending';
		this.by = index;
		this.set(this.rows);
	}

	// Other rows, in the order that is chosen.
	set(rows) {
		const value = this.columns[this.by].value, sign = this.down ? -1 : 1;
		const valued = rows.map(row => [value(row), row]);
		const known = one => one[0] !== null && one[0] !== '';
		valued.sort((a, b) => known(a) && known(b) ? sign * compare(a[0], b[0]) : compare(a[0], b[0]));
		this.rows = valued.map(one => one[1]);
		this.heads.forEach((head, i) => {
			if (i === this.by)
				head.setAttribute('aria-sort', this.down ? 'descending' : 'ascending');
			else
				head.removeAttribute('aria-sort');
		});
		this.render();
	}

	render() {
		const part = this.rows.slice(0, this.shown), step = this.options.step ?? 500;
		this.body.replaceChildren(...part.flatMap(row => this.#row(row)));
		this.more.replaceChildren();
		if (this.rows.length === 0)
			this.more.append(this.options.none ?? 'Nothing.');
		if (part.length < this.rows.length)
			fill(this.more, [`${count(part.length)} of ${count(this.rows.length)} rows. `, make('button',
				{ type: 'button', onclick: () => { this.shown += step; this.render(); } },
				`Show ${count(Math.min(step, this.rows.length - part.length))} more`)]);
		this.options.changed?.(part.length, this.rows);
	}

	#row(row) {
		const detail = this.options.detail, open = this.opened.has(row);
		const cells = this.columns.map((column, i) => {
			const cell = make('td', { class: [column.number && 'number', column.class].filter(Boolean).join(' ') || null,
				title: column.title?.(row) ?? null });
			const shown = column.show(row);
			if (detail && i === 0)
				cell.append(make('button', { type: 'button', class: 'opens', 'aria-expanded': String(open),
					onclick: () => this.toggle(row) }, shown));
			else
				fill(cell, [shown]);
			return cell;
		});
		const line = make('tr', null, cells);
		return open ? [line, make('tr', { class: 'detail' },
			make('td', { colspan: this.columns.length }, detail(row)))] : [line];
	}

	toggle(row) {
		const at = this.rows.indexOf(row);
		if (!this.opened.delete(row))
			this.opened.add(row);
		this.render();
		this.body.querySelectorAll('.opens')[at]?.focus();
	}
}
