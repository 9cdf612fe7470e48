package result

import (
	"fmt"
	"strconv"
	"strings"

	"dmasim/sim/metrics"
)

var nobody = metrics.Cell{Client: -1}

// formatCells prints the rows of a map at one instant as the package's
// documentation says.
func formatCells(cells []metrics.Cell) string {
	var text []byte
	for start := 0; start < len(cells); {
		end := start + 1
		for end < len(cells) && cells[end] == cells[start] {
			end++
		}
		if start > 0 {
			text = append(text, ' ')
		}
		if n := end - start; n > 1 {
			text = append(strconv.AppendInt(text, int64(n), 10), '*')
		}
		if c := cells[start]; c == nobody {
			text = append(text, '.')
		} else {
			text = strconv.AppendInt(text, int64(c.Client), 10)
			text = append(text, 'a'+c.Tone)
			text = strconv.AppendUint(text, uint64(c.Fill), 10)
		}
		start = end
	}
	return string(text)
}

// appendCells appends the rows that formatCells printed, which must be as many
// as rows and name clients below clients.
func appendCells(cells []metrics.Cell, text string, rows, clients int) ([]metrics.Cell, error) {
	left := rows
	for run := range strings.FieldsSeq(text) {
		count, code, found := strings.Cut(run, "*")
		n := 1
		if !found {
			code = run
		} else if v, err := strconv.Atoi(count); err == nil {
			n = v
		} else {
			return cells, fmt.Errorf("cells %q: not a number of rows", run)
		}
		if n < 1 || n > left {
			return cells, fmt.Errorf("cells: more rows than the map's %d", rows)
		}
		left -= n
		c, err := parseCell(code, clients)
		if err != nil {
			return cells, err
		}
		for range n {
			cells = append(cells, c)
		}
	}
	if left > 0 {
		return cells, fmt.Errorf("cells: %d rows, want %d", rows-left, rows)
	}
	return cells, nil
}

func parseCell(code string, clients int) (metrics.Cell, error) {
	if code == "." {
		return nobody, nil
	}
	tone := strings.IndexAny(code, "ab")
	if tone < 0 {
		return metrics.Cell{}, fmt.Errorf("cells %q: want a client, a or b, and a share", code)
	}
	client, err := strconv.ParseInt(code[:tone], 10, 16)
	if err != nil || client < 0 || client >= int64(clients) {
		return metrics.Cell{}, fmt.Errorf("cells %q: no such client", code)
	}
	fill, err := strconv.ParseUint(code[tone+1:], 10, 8)
	if err != nil {
		return metrics.Cell{}, fmt.Errorf("cells %q: want a share from 0 to 255", code)
	}
	return metrics.Cell{Client: int16(client), Tone: code[tone] - 'a', Fill: uint8(fill)}, nil
}
