package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"image/png"
	"io"
	"strings"
)

//go:embed assets
var assets embed.FS

// scripts are the parts of the page's script, in order.
var scripts = []string{"base.js", "scene.js", "map.js", "chart.js", "lists.js", "app.js"}

var pageTemplate = template.Must(template.ParseFS(assets, "assets/page.html"))

// Write writes the page. The same content gives the same bytes.
func Write(w io.Writer, c *Content) error {
	style, err := assets.ReadFile("assets/style.css")
	if err != nil {
		return err
	}
	var script strings.Builder
	for _, name := range scripts {
		part, err := assets.ReadFile("assets/" + name)
		if err != nil {
			return err
		}
		script.Write(part)
	}
	p := struct {
		*Content
		Policy string
		Style  template.CSS
		Script template.JS
		Scenes template.JS
		Packed []template.HTML
	}{
		Content: c, Style: template.CSS(style), Script: template.JS(script.String()),
		Policy: fmt.Sprintf("default-src 'none'; script-src %s; style-src %s; img-src data:; base-uri 'none'; form-action 'none'",
			sourceHash(script.String()), sourceHash(string(style))),
	}
	scenes := make([]scene, len(c.Runs))
	for i := range c.Runs {
		columns := new(Columns)
		scenes[i] = newScene(&c.Runs[i], columns)
		packed, err := columns.base64()
		if err != nil {
			return err
		}
		p.Packed = append(p.Packed, template.HTML(packed))
	}
	data, err := json.Marshal(scenes) // with <, > and & escaped
	if err != nil {
		return fmt.Errorf("page: %w", err)
	}
	p.Scenes = template.JS(data)
	return pageTemplate.Execute(w, p)
}

// sourceHash is how a content security policy names a script or a style sheet.
func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// DataURL is the picture, for the page.
func (f *Figure) DataURL() template.URL {
	return template.URL("data:" + f.Type + ";base64," + base64.StdEncoding.EncodeToString(f.Data))
}

// Width is that of the figure on the page, in CSS pixels; 0: its own. PNG figures are
// drawn with 300 dots for an inch; a page has 100 at their size in print.
func (f *Figure) Width() int {
	const dpi, pixels = 300, 100
	config, err := png.DecodeConfig(bytes.NewReader(f.Data))
	if err != nil {
		return 0
	}
	return config.Width * pixels / dpi
}

// Title is the name of the figure in words.
func (f *Figure) Title() string { return strings.ReplaceAll(f.Name, "-", " ") }
