// Stands in for react-style-singleton, by which dialogs add a <style> that keeps the page behind them from scrolling.
// Our page never scrolls, and the server's policy runs no style that is not in the style sheet.

export const styleSingleton = () => () => null;
